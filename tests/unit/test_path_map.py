"""Which paths a `path_map` changes, and that it changes no others."""

from __future__ import annotations

import ntpath
import os
import posixpath
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.child._bgrscrpt_paths import PathMap

HERE = "/home/inst"
MAP = PathMap([("C:\\Instrument", "/opt/inst/"), ("C:\\Instrument\\var", "/var/inst")], HERE)
NAMES = st.text(
    st.characters(exclude_characters='/\\:*?"<>|\0', exclude_categories=["Cs"]), min_size=1
).filter(lambda name: name not in (".", ".."))
SEPARATORS = st.sampled_from(["\\", "/", "\\\\", "\\/"])


@pytest.mark.parametrize(
    ("path", "host"),
    [
        (r"C:\Instrument", "/opt/inst"),
        ("C:\\Instrument\\", "/opt/inst/"),
        (r"c:/INSTRUMENT/Scripts\a.py", "/opt/inst/Scripts/a.py"),
        (r"C:\Instrument\var\tmp", "/var/inst/tmp"),
        (r"C:\Instrument\various", "/opt/inst/various"),
        (r"C:\Users\..\Instrument\.\a", "/opt/inst/a"),
        (r"C:\..\Instrument\a", "/opt/inst/a"),
        (r"C:\\/Instrument/scripts", "/opt/inst/scripts"),
        (HERE + r"/C:\\/Instrument/scripts", "/opt/inst/scripts"),
        (r"/elsewhere/now/C:\Instrument\a", "/opt/inst/a"),
    ],
)
def test_what_is_mapped(path: str, host: str) -> None:
    """Either separator, any case and the longest entry count.

    So does what `os.path.abspath` makes.
    """
    assert MAP.host(path, "/elsewhere/now") == host


@pytest.mark.parametrize(
    "path",
    [
        "",
        ":",
        "/",
        "C:",
        "C:Instrument",
        r"C:\InstrumentX",
        r"C:\Instrument\..\a",
        r"D:\Instrument",
        r"\Instrument\a",
        r"Instrument\a",
        r"./C:\Instrument\a",
        r"\\host\C:\Instrument",
        r"\\?\C:\Instrument",
        r"file:///C:/Instrument",
        r"/home/other/C:\Instrument\a",
        "/home/inst/.wine/dosdevices/c:/Instrument/a",
        "\u216d:\\Instrument",
    ],
)
def test_what_is_not(path: str) -> None:
    """Relative paths, other drives and neighbours are not mapped, nor a `C:` in another place."""
    assert MAP.host(path, "/elsewhere/now") is None


@given(st.lists(st.tuples(SEPARATORS, NAMES)), st.sampled_from(["C:", "c:"]))
def test_names_are_kept(parts: list[tuple[str, str]], drive: str) -> None:
    """What comes after the entry is the same on the host, name by name and letter by letter."""
    paths = PathMap([("C:\\Instrument", "/opt/inst")], HERE)
    path = drive + r"\instrument" + "".join(separator + name for separator, name in parts)
    names = "".join("/" + name for _, name in parts)
    assert paths.host(path) == "/opt/inst" + names


@given(st.lists(st.sampled_from(["..", ".", "Instrument", "a", ""])), SEPARATORS)
def test_dots_are_those_of_windows(parts: list[str], separator: str) -> None:
    """A path that leaves the directory is not mapped, one that enters it is: see `ntpath`."""
    path = "C:\\" + separator.join(parts)
    plain = ntpath.normpath(path)
    is_inside = (plain + "\\").startswith("C:\\Instrument\\")
    host = PathMap([("C:\\Instrument", "/opt/inst")], HERE).host(path)
    assert (host is not None) == is_inside
    if host is not None:
        assert posixpath.normpath(host) == "/opt/inst" + plain[len("C:\\Instrument") :].replace(
            "\\", "/"
        )


@given(st.one_of(st.text(), st.binary(), st.integers(), st.none(), st.text().map(Path)))
def test_all_else_is_handed_on(argument: object) -> None:
    """A path that is below no entry is returned as the same object."""
    paths = PathMap([("Q:\\no one has\\this", "/x")], HERE)
    assert paths.translate(argument) is argument


@given(NAMES)
def test_the_type_stays(name: str) -> None:
    """A mapped path keeps its type: bytes or text; a path object becomes text."""
    path, host = "C:\\Instrument\\" + name, "/opt/inst/" + name
    paths = PathMap([("C:\\Instrument", "/opt/inst")], HERE)
    assert paths.translate(path) == host
    assert paths.translate(Path(path)) == host
    assert paths.translate(os.fsencode(path)) == os.fsencode(host)


def test_a_whole_drive_and_a_whole_host() -> None:
    r"""`C:\` may be an entry, and `/` its directory."""
    paths = PathMap([("C:\\", "/")], HERE)
    assert [paths.host(path) for path in ("C:\\", "C:\\a\\b", "D:\\")] == ["/", "/a/b", None]


def test_an_entry_that_is_no_windows_path() -> None:
    """The settings refuse such an entry.

    If one comes through, it does not stand for the whole disk.
    """
    with pytest.raises(ValueError, match="absolute path like"):
        PathMap([("Instrument", "/x")], HERE)
