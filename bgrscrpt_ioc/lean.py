"""Imports libraries without what they would bring along for uses that the IOC has not.

It starts sooner for that, and takes less memory. Each is imported where it is needed all the same.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(name: str, stand_in: ModuleType | None = None) -> Iterator[None]:
    """Have an import of this module fail meanwhile, or give the stand-in.

    Nothing is changed where it has been imported before.
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
    """Make an `importlib.metadata` in which no package offers anything."""
    module = ModuleType("importlib.metadata")
    vars(module).update(entry_points=lambda **_: (), distributions=lambda **_: ())
    return module
