"""What a background script may tell its operators, for type checkers."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar

_T = TypeVar("_T")
_Severity = Literal[0, 1, 2, 3, "NO_ALARM", "MINOR", "MAJOR", "INVALID"]

__all__ = ["alive", "message", "progress", "pv"]

def alive() -> None: ...
def message(text: object) -> None: ...
def progress(percent: float) -> None: ...

class Pv(Generic[_T]):
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> _T: ...
    def set(self, value: _T, severity: _Severity | None = None) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...

def pv(
    name: str,
    initial: _T,
    *,
    description: str = "",
    unit: str = "",
    precision: int = 3,
    low: float | None = None,
    high: float | None = None,
    alarm_low: float | None = None,
    alarm_high: float | None = None,
    choices: Sequence[str] | None = None,
    writable: bool = False,
    on_put: Callable[[_T], Any] | None = None,
    keep: bool = False,
    archive: bool = False,
    size: int | None = None,
) -> Pv[_T]: ...
