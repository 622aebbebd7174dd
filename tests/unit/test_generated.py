"""`deploy screens` and `deploy alarms`: what they print, and what they say of a bad file."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrscrpt_ioc.cli import main as cli
from bgrscrpt_ioc.records.alarmtree import configuration
from bgrscrpt_ioc.records.screens import OVERVIEW, SCREEN, instance_screen, overview

NAMES = ["PLOT", "WATCH"]


@pytest.fixture(autouse=True)
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an instrument's settings, and remove the tester's variables."""
    for variable in ("MYPVPREFIX", "MACROS", "ICPINSTSCRIPTROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ICPVARDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    tables = "".join(f'[instance.{name}]\nscript = "x.py"\n' for name in NAMES)
    (tmp_path / "site.toml").write_text(f'prefix = "TE:"\n{tables}')


def test_screens_are_of_the_settings(tmp_path: Path) -> None:
    """The overview has the prefix and the instances of the settings; a prefix may be given."""
    command = ["deploy", "screens", "--config", "site.toml", "--write", "one"]
    assert cli.main(command) == 0
    assert (tmp_path / "one" / OVERVIEW).read_text() == overview("TE:", NAMES)
    assert (tmp_path / "one" / SCREEN).read_text() == instance_screen()
    command = ["deploy", "screens", "--config", "site.toml", "--prefix", "ME:", "--ca"]
    assert cli.main([*command, "--write", "two"]) == 0
    assert (tmp_path / "two" / OVERVIEW).read_text() == overview("ca://ME:", NAMES)


def test_alarms_make_a_configuration_only_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """`deploy alarms` prints a component that no alarm server imports, unless given a name."""
    assert cli.main(["deploy", "alarms", "--config", "site.toml"]) == 0
    assert "<config" not in capsys.readouterr().out
    command = [
        "deploy",
        "alarms",
        "--config",
        "site.toml",
        "--configuration",
        "OWN",
        "--screen",
        "/x.bob",
    ]
    assert cli.main(command) == 0
    assert capsys.readouterr().out == configuration("OWN", "TE:", NAMES, "/x.bob")


def test_alarms_are_merged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--merge FILE` prints all that FILE has; a file that cannot be used is named, with why."""
    (tmp_path / "before.xml").write_text('<config name="A"><component name="Vacuum"/></config>')
    (tmp_path / "bad.xml").write_text("<config")
    command = ["deploy", "alarms", "--config", "site.toml", "--merge"]
    assert cli.main([*command, "before.xml"]) == 0
    printed = capsys.readouterr().out
    assert '<component name="Vacuum" />' in printed
    assert '<pv name="TE:WATCH:STATUS">' in printed
    for name, why in (("bad.xml", "is not XML"), ("none.xml", "No such file or directory")):
        assert cli.main([*command, name]) == 1
        told = capsys.readouterr()
        assert not told.out
        assert f"--merge {name}: {why}" in told.err
