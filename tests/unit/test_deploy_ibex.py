"""The boot directories for IBEX, read in these tests as ISIS's own programs read them."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from bgrscrpt_ioc.config.environment import Environment
from bgrscrpt_ioc.config.macros import expand
from bgrscrpt_ioc.deploy import ibex

PROGRAM = ("/opt/a b/bgrscrpt-ioc",)
NAMES = [f"BGRSCRPT_{number:02d}" for number in range(1, 13)]
# What config.xml may have, by the pages for IOC developers in ISIS's manual: no schema is public.
CHILDREN = {
    "ioc_config": ["config_part"],
    "config_part": ["ioc_desc", "ioc_details", "macros"],
    "macros": ["macro"],
}
MACRO = {"name", "pattern", "description", "defaultValue", "hasDefault"}
# https://ss64.com/nt/syntax.html: what a line of our batch files begins with.
WORDS = {
    "@echo",
    "REM",
    "setlocal",
    "set",
    "call",
    "if",
    "for",
    "cd",
    "exit",
    '"%BGRSCRPT_PYTHON%"',
}


def test_there_is_a_directory_for_each_instance() -> None:
    """Each instance _01 to _N has a directory where ISIS has it, with files for both systems."""
    found = ibex.files(12, PROGRAM, ibex.WINDOWS_PYTHON)
    directories = {path.rpartition("/")[0] for path in found} - {""}
    boot = "ioc/master/BGRSCRPT/iocBoot/iocBGRSCRPT-IOC-"
    assert directories == {f"{boot}{name[-2:]}" for name in NAMES}
    for directory in directories:
        assert len(directory.split("/")) == len(ibex.UP)  # each of them leads one up
        for file in ("config.xml", "runIOC.bat", "runIOC.sh"):
            assert f"{directory}/{file}" in found


@pytest.mark.parametrize("name", NAMES[:3])
def test_config_has_the_shape_of_isis(name: str) -> None:
    """config.xml has only the elements and attributes that ISIS's tools read."""
    tree = ET.fromstring(ibex.config(name))  # noqa: S314 - our own
    assert tree.tag == "ioc_config"
    for each in tree.iter():
        assert [child.tag for child in each] == CHILDREN.get(each.tag, [])
    assert name in (tree.findtext("config_part/ioc_desc") or "")
    (macro,) = tree.iterfind("config_part/macros/macro")
    assert set(macro.keys()) == MACRO
    assert (macro.get("name"), macro.get("hasDefault")) == ("SCRIPT_PATH", "YES")
    default = macro.get("defaultValue", "")
    assert re.search(macro.get("pattern", ""), default)


@pytest.mark.parametrize("name", NAMES)
def test_the_default_is_the_script_that_runs(name: str) -> None:
    """The default that IBEX shows is the script that the IOC runs without a macro."""
    tree = ET.fromstring(ibex.config(name))  # noqa: S314 - our own
    (macro,) = tree.iter("macro")
    default = macro.get("defaultValue", "")
    variables = {"ICPINSTSCRIPTROOT": "/inst/Python", "ICPVARDIR": "/var"}
    without = Environment(variables, only=True)
    taken = without.of_instance(name, alone=True)["script"].value
    assert default == taken
    passed = Environment(variables | {"MACROS": f'{{"SCRIPT_PATH": "{default}"}}'}, only=True)
    macros = passed.of_instance(name, alone=True)["script"].value
    assert expand(macros, passed.macros) == expand(taken, without.macros)


def test_globals_are_read_as_icpconfig_does() -> None:
    """Each line is a comment or NAME__MACRO="value", and shorter than icpconfig's buffer."""
    found: dict[str, str] = {}
    for line in ibex.examples(NAMES).splitlines():
        assert len(line) < 511
        if not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals
            assert value.startswith('"')
            assert value.endswith('"')
            found[name] = value[1:-1]
    assert list(found) == [f"{name}__SCRIPT_PATH" for name in NAMES]
    assert expand(found["BGRSCRPT_02__SCRIPT_PATH"], {"ICPINSTSCRIPTROOT": "C:/a b"}) == (
        "C:/a b/another_script2.py"
    )


def test_the_batch_file_is_one() -> None:
    """The batch file has Windows line ends; lines begin with a command and quote paths."""
    text = ibex.batch("BGRSCRPT_02", r"C:\Program Files\100%\python.exe")
    assert text.count("\n") == text.count("\r\n")
    assert text.isascii()
    lines = [line for line in text.split("\r\n") if line and not line.startswith(":")]
    assert {line.split()[0] for line in lines} <= WORDS
    assert all(line.count('"') % 2 == 0 for line in lines)
    assert all(line.startswith('set "') for line in lines if line.startswith("set "))
    assert r'call "%~dp0..\..\..\..\..\config_env_base.bat"' in lines
    assert r'set "BGRSCRPT_PYTHON=C:\Program Files\100%%\python.exe"' in text
    assert lines[-2].endswith("run --name %MYIOCNAME%")
    labels = set(re.findall(r"^:(\w+)\r$", text, re.MULTILINE))
    assert set(re.findall(r"goto :(\w+)", text)) == labels
