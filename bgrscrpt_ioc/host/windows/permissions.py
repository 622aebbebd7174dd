"""Tells from the access control list whether every user may change a file or directory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import ntsecuritycon as rights
import pywintypes
import win32con
import win32security

ANYBODY = ("S-1-1-0", "S-1-5-11", "S-1-5-32-545")  # Everyone, Authenticated Users, Users
_ALWAYS = (
    win32con.DELETE | win32con.WRITE_DAC | win32con.WRITE_OWNER
    | win32con.GENERIC_WRITE | win32con.GENERIC_ALL
)  # fmt: skip
OF_FILE = _ALWAYS | rights.FILE_WRITE_DATA | rights.FILE_APPEND_DATA
# To add a file or directory is no harm: every user may do so in `C:\`, and changes no other file.
OF_DIRECTORY = _ALWAYS | rights.FILE_ADD_FILE | rights.FILE_DELETE_CHILD
ALLOWED, DENIED = 0, 1  # types of entries in the list
INHERIT_ONLY = 0x8  # flag of an entry that does not apply to the directory itself


def open_to_all(path: Path) -> bool:
    """Return whether any user of this host may write to what is at `path`.

    A user who may write to a directory can replace a file in it.
    """
    try:
        information = win32security.DACL_SECURITY_INFORMATION
        entries = win32security.GetFileSecurity(str(path), information).GetSecurityDescriptorDacl()
    except pywintypes.error:
        return False  # the path does not exist, which is reported elsewhere
    if entries is None:
        return True  # without a list, everything is allowed
    dangerous = OF_DIRECTORY if path.is_dir() else OF_FILE
    denied = dict.fromkeys(ANYBODY, 0)
    for at in range(entries.GetAceCount()):
        (kind, flags), mask, sid = entries.GetAce(at)[:3]
        if kind not in (ALLOWED, DENIED) or flags & INHERIT_ONLY:
            continue
        who = win32security.ConvertSidToStringSid(sid)
        if who not in denied:
            continue
        if kind == DENIED:  # the first of two entries counts
            denied[who] |= mask
        elif mask & dangerous & ~denied[who]:
            return True
    return False


def describe_open(paths: Iterable[Path]) -> str:
    """Return a message that every user may change these paths, with the remedy."""
    names = [f'"{each}"' for each in paths]
    return (
        f"anybody may change {' and '.join(names)}: take the right to write from Everyone, Users"
        f" and Authenticated Users; `icacls {names[0]}` shows who has it"
    )
