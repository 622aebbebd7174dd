"""Paths of a configuration as absolute ones, and commands as lists."""

from __future__ import annotations

from pathlib import Path, PurePath, PureWindowsPath
from typing import Any


def command(value: Any, base: PurePath) -> Any:
    """Return a command as a list, split as a shell does. A program's path starts at `base`.

    On Windows a backslash separates directories, and escapes nothing.
    """
    separators = "/\\" if isinstance(base, PureWindowsPath) else "/"
    if isinstance(value, str):
        from shlex import shlex

        words = shlex(value, posix=True)
        words.whitespace_split, words.commenters = True, ""
        if "\\" in separators:
            words.escape = ""
        try:
            value = list(words)
        except ValueError as error:
            raise ValueError(f"{value!r} cannot be split into words: {error}") from error
    if not isinstance(value, list) or not value or not isinstance(value[0], str):
        return value  # the settings report what is wrong with it
    if not any(each in value[0] for each in separators):
        return value  # to be found in PATH
    return [str(located(value[0], base)), *value[1:]]


def located(value: Any, base: PurePath) -> Any:
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
