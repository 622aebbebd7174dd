"""Imports libraries without modules that they import for uses that the IOC does not have.

So the IOC starts sooner and needs less memory. Each module is still imported where it is needed.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(name: str, stand_in: ModuleType | None = None) -> Iterator[None]:
    """Make imports of a module fail in this context, or return the stand-in.

    A module that was imported before is not touched.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = stand_in  # pyright: ignore[reportArgumentType] - None: not there
    try:
        yield
    finally:
        del sys.modules[name]


def no_plugins() -> ModuleType:
    """Return an `importlib.metadata` in which no package offers a plugin."""
    module = ModuleType("importlib.metadata")
    vars(module).update(entry_points=lambda **_: (), distributions=lambda **_: ())
    return module
