"""Lists the names of mutexes that all sessions of this host share.

Windows has no documented call for that; `NtQueryDirectoryObject` of ntdll does it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import wintypes

DIRECTORY = "\\BaseNamedObjects"  # the directory of `Global\`
QUERY = 0x1
SIZE = 1 << 16  # bytes of names to read in one call


class Text(ctypes.Structure):
    """The structure UNICODE_STRING."""

    _fields_ = (
        ("length", wintypes.USHORT),
        ("room", wintypes.USHORT),
        ("buffer", ctypes.c_wchar_p),
    )


class Attributes(ctypes.Structure):
    """The structure OBJECT_ATTRIBUTES."""

    _fields_ = (
        ("size", wintypes.ULONG),
        ("root", wintypes.HANDLE),
        ("name", ctypes.POINTER(Text)),
        ("flags", wintypes.ULONG),
        ("security", ctypes.c_void_p),
        ("quality", ctypes.c_void_p),
    )


class Entry(ctypes.Structure):
    """The structure OBJECT_DIRECTORY_INFORMATION."""

    _fields_ = (("name", Text), ("kind", Text))


def shared_names() -> Iterator[str]:
    """Yield the names of all global objects of this host, such as mutexes."""
    native = ctypes.WinDLL("ntdll")
    directory = wintypes.HANDLE()
    name = Text(2 * len(DIRECTORY), 2 * len(DIRECTORY) + 2, DIRECTORY)
    attributes = Attributes(ctypes.sizeof(Attributes), None, ctypes.pointer(name), 0, None, None)
    if native.NtOpenDirectoryObject(ctypes.byref(directory), QUERY, ctypes.byref(attributes)):
        return
    try:
        buffer = ctypes.create_string_buffer(SIZE)
        context, used = wintypes.ULONG(0), wintypes.ULONG(0)
        # One name for each call, because Wine returns no more. 0 means success; any other value
        # means that there are no more names.
        while not native.NtQueryDirectoryObject(
            directory, buffer, SIZE, True, False, ctypes.byref(context), ctypes.byref(used)
        ):
            text = ctypes.cast(buffer, ctypes.POINTER(Entry)).contents.name
            yield (text.buffer or "")[: text.length // 2]
    finally:
        native.NtClose(directory)
