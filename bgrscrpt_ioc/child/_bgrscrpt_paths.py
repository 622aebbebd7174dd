r"""Makes Windows paths mean directories of this host, for scripts whose instance has a `path_map`.

Without a `path_map`, this module is not imported. It changes only paths below a configured
`C:\...`. `sys.path` keeps what the script puts there. `open` and the functions of `os` pass all
other paths on unchanged.
"""

import builtins
import io
import os
import sys

TYPE_CHECKING = False  # `import typing` would take longer than everything here
if TYPE_CHECKING:
    from typing import Any  # noqa: F401 - in type comments

# The functions of `os` that take paths, with the names of their parameters. `walk` is not here: it
# calls these functions, and returns the path that it was given.
FUNCTIONS = {
    "path": "access chdir chflags chmod chown chroot getxattr lchflags lchmod lchown listdir"
    " listxattr lstat mkdir mkfifo mknod open pathconf readlink remove removexattr rmdir scandir"
    " setxattr stat statvfs truncate unlink utime",
    "name": "makedirs removedirs",
    "src dst": "link rename replace symlink",
    "old new": "renames",
}
SUPPORTS = ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks")


def windows_parts(path):
    # type: (str) -> tuple[str, ...] | None
    r"""Return drive and rest of an absolute Windows path, `C:\a\..\b`: ("C:", "b").

    None for others.
    """
    drive = path[:1]
    if not (drive.isascii() and drive.isalpha() and path[1:2] == ":" and path[2:3] in ("\\", "/")):
        return None
    parts = []  # type: list[str]
    for part in path[3:].replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]  # as on Windows: the text alone decides, and `..` stops at the drive
        elif part not in ("", "."):
            parts.append(part)
    return (path[:2], *parts)


class PathMap:
    """Maps directories of Windows to directories of this host."""

    def __init__(self, pairs, start):
        # type: (list[tuple[str, str]], str) -> None
        """Make a map of `pairs`; `directory` is the one in which the script starts."""
        self.start = start
        self.rules = []  # type: list[tuple[tuple[str, ...], str]]
        for windows, host in pairs:
            prefix = tuple(part.lower() for part in windows_parts(windows) or ())
            if not prefix:
                raise ValueError(r"%r should be an absolute path like C:\Instrument" % windows)
            self.rules.append((prefix, host.rstrip("/")))
        self.rules.sort(key=lambda rule: -len(rule[0]))  # the longest match counts

    def host(self, path, directory=""):
        # type: (str, str) -> str | None
        r"""Return the path of this host for a path; None if it is under none of the directories.

        `os.path.abspath(r"C:\a")` returns `/where/you/are/C:\a` here. So a path also counts with
        the directory in which the script started, or `directory`, before it, but with no other.
        """
        if path.startswith("/"):
            for before in (self.start, directory):
                if before and path.startswith(before.rstrip("/") + "/"):
                    found = self.host(path[len(before.rstrip("/")) + 1 :])
                    if found is not None:
                        return found
            return None
        parts = windows_parts(path)
        if parts is None:
            return None
        low = tuple(part.lower() for part in parts)
        for prefix, host in self.rules:
            if low[: len(prefix)] == prefix:
                rest = "/".join((host, *parts[len(prefix) :])) or "/"
                return rest + "/" if path[-1] in "\\/" and not rest.endswith("/") else rest
        return None

    def translate(self, path):
        # type: (Any) -> Any
        """Return the host's path for one of ours, in the same type.

        Return anything else as it is.
        """
        plain = path if isinstance(path, (str, bytes)) else None
        if plain is None:
            if not hasattr(type(path), "__fspath__"):
                return path  # a descriptor, None, or a value that the function refuses
            plain = os.fspath(path)
        text = plain if isinstance(plain, str) else os.fsdecode(plain)
        if ":" not in text:
            return path
        found = self.host(text, directory() if text.startswith("/") else "")
        if found is None:
            return path
        return found if isinstance(plain, str) else os.fsencode(found)


def directory():
    # type: () -> str
    """Return the working directory, or "" if it has been removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


class Mapped:
    """A function that takes paths, and translates those of Windows.

    This is an object and not a function, because `pathlib` of 3.8 keeps `os.stat` in a class, where
    a function would become a method.
    """

    def __init__(self, function, names, module, paths):
        # type: (Any, list[str], str, PathMap) -> None
        self.__wrapped__ = function
        self.__name__ = self.__qualname__ = function.__name__
        self.__module__ = module
        self.__doc__ = function.__doc__
        self._names = names
        self._paths = paths

    def __call__(self, *args, **kwargs):
        # type: (object, object) -> object
        """Call the function with translated paths."""
        translate = self._paths.translate
        count = len(self._names)
        for name in self._names:
            if name in kwargs:
                kwargs[name] = translate(kwargs[name])
        return self.__wrapped__(
            *[translate(each) for each in args[:count]], *args[count:], **kwargs
        )

    def __reduce__(self):
        # type: () -> str
        """Return the name by which pickle finds the function."""
        return self.__name__

    def __repr__(self):
        # type: () -> str
        return "<%r, with path_map>" % self.__wrapped__


class EntryHook:
    """A hook of `sys.path_hooks`: finds modules of Windows directories on this host."""

    def __init__(self, paths):
        # type: (PathMap) -> None
        self.paths = paths

    def __call__(self, entry):
        # type: (str) -> Any
        """Return the finder of the host's directory, made by the hook for that directory."""
        path = self.paths.translate(entry)
        if path != entry:
            for hook in sys.path_hooks:
                if hook is not self:
                    try:
                        return hook(path)
                    except ImportError:
                        continue
        raise ImportError("not mapped, or not there", path=entry)


def pairs_of(fields):
    # type: (list[str]) -> list[tuple[str, str]]
    """Return pairs of the order's list, which has each Windows directory before the host's."""
    return list(zip(fields[::2], fields[1::2]))  # noqa: B905 - `strict` is of 3.10


installed = None  # type: list[tuple[str, str]] | None # for child processes: _bgrscrpt_hook


def install(pairs):
    # type: (list[tuple[str, str]]) -> None
    """Make `sys.path`, `open` and the functions of `os` know these directories from now on."""
    global installed  # noqa: PLW0603 - a process has one map
    if installed is not None:
        return
    installed = pairs
    paths = PathMap(pairs, directory())
    for names, functions in FUNCTIONS.items():
        for name in functions.split():
            function = getattr(os, name, None)
            if function is not None:
                mapped = Mapped(function, names.split(), "os", paths)
                setattr(os, name, mapped)
                for supports in SUPPORTS:  # shutil asks whether `os.stat in os.supports_fd`
                    if function in getattr(os, supports):
                        getattr(os, supports).add(mapped)
    opened = Mapped(io.open, ["file"], "builtins", paths)
    builtins.open = io.open = opened
    io.open_code = Mapped(io.open_code, ["path"], "io", paths)
    sys.path_hooks.insert(0, EntryHook(paths))
    sys.path_importer_cache.clear()
