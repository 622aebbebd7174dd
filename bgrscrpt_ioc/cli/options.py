"""Makes options of the command line from settings, and options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from bgrscrpt_ioc.config.iocsettings import IocSettings, option
from bgrscrpt_ioc.config.settings import InstanceSettings

METAVARS = {  # for values whose type does not say what they are
    "args": "ARG",
    "cgroup": "auto|off|PATH",
    "cpu_max": "PERCENT",
    "interfaces": "ADDRESS",
    "memory_max": "SIZE",
    "path_map": "WINDOWS=PATH",
    "prefix": "PREFIX",
    "preload": "MODULE",
    "python_path": "PATH",
    "registry": "URL",
    "write_hosts": "HOST",
}

_Model = type[IocSettings] | type[InstanceSettings]
Act = Callable[[argparse.Namespace], int]
# Name, the function that it calls, its help.
Add = Callable[[str, Act, str], argparse.ArgumentParser]


def add_file(command: Any, *keys: str) -> None:
    """Add `--config`, and an option for each of these settings of the IOC."""
    command.add_argument("--config", type=Path, metavar="FILE", help="TOML file with the settings.")
    add_settings(command, IocSettings, keys)


def add_settings(group: Any, model: _Model, keys: Collection[str]) -> None:
    """Add one option for each of `keys`, in the model's order. The model checks the values."""
    for key, field in model.model_fields.items():
        if key in keys:
            text = (field.description or "").replace("%", "%%")  # argparse formats it
            how = _how(field.annotation)
            if how.get("action") == "append":
                text += " May be given several times."
            if key in METAVARS:
                how["metavar"] = METAVARS[key]
            group.add_argument(option(key), dest=key, default=None, help=text, **how)


def _how(kind: Any) -> dict[str, Any]:
    """Return what argparse must know of a value of this kind."""
    within = get_args(kind)
    if bool in (kind, *within):
        return {"action": argparse.BooleanOptionalAction}
    if get_origin(kind) is Mapping:
        return {"action": "append", "metavar": "NAME=VALUE", "type": _variable}
    if get_origin(kind) is tuple:
        return {"action": "append", "metavar": "..."}
    if get_origin(kind) is Literal:
        return {"metavar": "|".join(within)}
    kinds = {float: "S", int: "N", Path: "PATH"}
    return {"metavar": next((kinds[each] for each in (kind, *within) if each in kinds), "TEXT")}


def count(text: str) -> int:
    """Read a whole number, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} should be a whole number")
    return int(text)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} should be NAME=VALUE")
    return name, value
