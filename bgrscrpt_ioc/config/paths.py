"""Paths of a configuration as absolute ones, and commands as lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def command(value: Any, base: Path) -> Any:
    """Return a command as a list, split as a shell does. A program's path starts at `base`."""
    if isinstance(value, str):
        from shlex import split

        try:
            value = split(value)
        except ValueError as error:
            raise ValueError(f"{value!r} cannot be split into words: {error}") from error
    if isinstance(value, list) and value and isinstance(value[0], str) and "/" in value[0]:
        return [str(located(value[0], base)), *value[1:]]
    return value


def located(value: Any, base: Path) -> Any:
    """Return absolute paths with `~` expanded.

    `..` and links stay, for `link/..` may be elsewhere.
    """
    if isinstance(value, list):
        return [located(each, base) for each in value]
    if isinstance(value, dict):
        return {key: located(each, base) for key, each in value.items()}
    if not isinstance(value, (str, Path)):
        return value  # the settings report what is wrong with it
    if value == "":
        raise ValueError("is empty; name a path, or leave the key out")
    try:
        return base / Path(value).expanduser()
    except RuntimeError as error:  # there is no such user
        raise ValueError(f"{value}: {error}") from error
