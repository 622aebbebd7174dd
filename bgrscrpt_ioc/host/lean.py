"""Imports libraries without modules that they import for uses that the IOC does not have.

So the IOC starts sooner and needs less memory. Each module is still imported where it is needed.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

MANY = 20_000  # new objects between two looks for garbage while modules are imported


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
        if sys.modules[name] is stand_in:
            del sys.modules[name]


def later(name: str) -> ModuleType:
    """Return a stand-in that imports the module as soon as something of the module is used."""
    stand_in = ModuleType(name)

    def of_the_module(attribute: str) -> Any:
        if sys.modules.get(name) is stand_in:
            del sys.modules[name]
        return getattr(import_module(name), attribute)

    vars(stand_in)["__getattr__"] = of_the_module
    return stand_in


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for garbage less often in this context.

    Nearly all that an import makes is there to stay. To look at it again and again takes a tenth of
    the start.
    """
    usual = gc.get_threshold()
    gc.set_threshold(MANY, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def no_plugins() -> ModuleType:
    """Return an `importlib.metadata` in which no package offers a plugin."""
    module = ModuleType("importlib.metadata")
    vars(module).update(entry_points=lambda **_: (), distributions=lambda **_: ())
    return module
