"""The command `deploy`: its files for each consumer, which the consumer accepts."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from bgrscrpt_ioc.cli import main as cli
from bgrscrpt_ioc.cli.consumers import ALL, CONSUMERS
from bgrscrpt_ioc.deploy import procserv, systemd
from bgrscrpt_ioc.deploy.site import Site, site_of
from tests.docs.pages import ROOT, blocks

PROGRAM = ("/opt/bgrscrpt/bin/bgrscrpt-ioc",)
CONFIG = Path("/etc/bgrscrpt/instrument.toml")
SECRETS = {
    "registry": "mysql+pymysql://iocdb:hunter2@127.0.0.1/$(DATABASE)",
    "state_dir": "/usr/my state",
    "defaults": {"env": {"A": "$(TOKEN)", "B": "hunter2", "C": "$(C=x)$(STATE)\\$(D)"}},
    "instance": {"A": {"stop_timeout": 100, "memory_max": "1G"}, "B": {}},
}
ODD = 'a b%n $X "q" \\ä'


def site(document: Mapping[str, object], *, program: tuple[str, ...] = PROGRAM) -> Site:
    """Return the site of these settings."""
    return site_of(document, program, CONFIG, prefix="TE:", user="bgrscrpt", console=20001)


def test_a_site_knows_no_secret() -> None:
    """A site has the names of macros without a default, and no values; limits need a cgroup."""
    found = site(SECRETS)
    assert found.variables == ("DATABASE", "MYPVPREFIX", "TOKEN")
    assert (found.names, found.stop_timeout, found.limited) == (("A", "B"), 100.0, True)
    assert "hunter2" not in repr(found)
    assert not site(SECRETS | {"cgroup": "off"}).limited
    assert site({"instance": [], "defaults": 1}) == site({})  # `check` says what is wrong


def test_the_unit_says_what_the_settings_need() -> None:
    """Macros, limits, directories and long stops are in the unit, passwords are not."""
    text = systemd.service(site(SECRETS))
    assert "EnvironmentFile=-/etc/bgrscrpt/instrument.env\n" in text
    assert "refer to DATABASE, MYPVPREFIX, TOKEN:" in text
    assert 'ReadWritePaths="-/usr/my state"\n' in text
    assert "\nDelegate=yes\n" in text
    assert "ProtectControlGroups" not in text
    assert "TimeoutStopSec=330\n" in text
    assert "hunter2" not in text


def test_words_of_a_unit() -> None:
    """Spaces, quotes and backslashes are quoted; `%` and `$` stand for themselves."""
    assert systemd.command(["/a$b", "run", "$x", ""]) == '"/a$b" run "$$x" ""'
    assert systemd.command([f"/{ODD}"]) == '"/a b%%n $X \\"q\\" \\\\ä"'
    assert systemd.words(["/a;b", "\n"]) == '"/a;b" "\\x0a"'


@pytest.mark.parametrize("name", ["ioc", "a b%n $X ä"])  # systemd takes no quotes and backslashes
@pytest.mark.parametrize("document", [{}, SECRETS], ids=["bare", "full"])
def test_systemd_takes_the_unit(name: str, document: Mapping[str, object], tmp_path: Path) -> None:
    """`systemd-analyze` accepts the unit, finds the program, and reports a low exposure."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: sudo apt-get install systemd")
    program = tmp_path / name
    program.symlink_to("/bin/true")
    unit, other = tmp_path / systemd.UNIT, tmp_path / "procserv.service"
    here = site(document, program=(str(program),))
    unit.write_text(systemd.service(here))
    other.write_text(procserv.service(here))
    command = ["systemd-analyze", "verify", unit, other]
    verify = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (verify.returncode, verify.stdout, verify.stderr) == (0, "", "")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", unit]
    security = subprocess.run(command, capture_output=True, text=True, check=False)
    print(security.stdout.strip().splitlines()[-1])
    assert security.returncode == 0, security.stdout


def test_manage_procs_reads_its_entry() -> None:
    """manage-procs' way to read the entry, by configparser and shlex, gives the command line."""
    entry = configparser.ConfigParser({"user": "nobody", "chdir": "/", "port": "-1"})
    here = site({}, program=(f"/{ODD}",))
    entry.read_string(procserv.managed(here))
    assert shlex.split(entry.get("bgrscrpt", "command")) == list(here.command)
    assert entry.get("bgrscrpt", "user") == "bgrscrpt"
    assert entry.getint("bgrscrpt", "port") == 20001


def test_the_page_shows_the_unit() -> None:
    """The page shows the whole unit that the command prints for the page's settings."""
    page = blocks(ROOT / "docs/how-to/start-from-systemd.md")
    (shown,) = [
        lines
        for each in page
        for line, lines in each.commands
        if line.endswith(".toml") and " deploy " in line
    ]
    document = {"prefix": "TE:NDW1234:", "registry": "mysql://"}
    printed = systemd.service(
        site_of(document, PROGRAM, CONFIG, prefix="TE:NDW1234:", user="bgrscrpt", console=0)
    )
    assert shown == [line for line in printed.splitlines() if line]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an instrument's settings, and remove the tester's variables."""
    for variable in ("MYPVPREFIX", "MACROS", "ICPINSTSCRIPTROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "site.toml"
    path.write_text('prefix = "TE:"\n[instance.A]\nscript = "x.py"\nenv = { A = "$(NONE)" }\n')
    return path


def test_it_prints_or_writes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--write` writes the text that is printed without it, and names each file."""
    assert cli.main(["deploy", "systemd", "--config", config.name, "--user", "me"]) == 0
    printed = capsys.readouterr().out
    assert f"run --config {config}\n" in printed
    assert "\nUser=me\n" in printed
    command = ["deploy", "systemd", "--config", config.name, "--user", "me", "--write", "new/dir"]
    assert cli.main(command) == 0
    assert capsys.readouterr().out == f"new/dir/{systemd.UNIT}\n"
    assert (config.parent / "new/dir" / systemd.UNIT).read_text() == printed


def test_a_path_that_the_unit_cannot_see(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning on stderr names all paths below /tmp, and the unit is printed all the same."""
    private = "/tmp"  # noqa: S108 - no file is made there
    program, settings = f"{private}/venv/bin/bgrscrpt-ioc", f"/var{private}/a.toml"
    hidden = Site((program,), Path(settings), scripts=("/opt/x.py",))
    assert systemd.unseen(hidden) == [program, settings]
    assert systemd.unseen(Site(PROGRAM, CONFIG, scripts=("tmp/x.py", f"{private}file.py"))) == []
    config.write_text(
        f'prefix = "TE:"\nstate_dir = "{private}/s"\n[instance.A]\nscript = "{private}/x.py"\n'
    )
    assert cli.main(["deploy", "systemd", "--config", config.name]) == 0
    told = capsys.readouterr()
    assert "PrivateTmp=yes" in told.out
    assert "warning: bgrscrpt.service: the service cannot see " in told.err
    assert f"{private}/x.py, {private}/s, because PrivateTmp=yes" in told.err
    assert cli.main(["deploy", "procserv", "--config", config.name]) == 0
    assert capsys.readouterr().err == ""


def test_nothing_of_a_site_is_lost(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with other text is replaced only with `--replace`; otherwise nothing is written."""
    command = ["deploy", "procserv", "--config", config.name, "--write", "."]
    entry, script = config.parent / "bgrscrpt.conf", config.parent / "bgrscrpt-procserv.sh"
    entry.write_text("mine")
    assert cli.main(command) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "bgrscrpt.conf: is there already and has other text, so nothing was written" in told.err
    assert (entry.read_text(), script.exists()) == ("mine", False)
    assert cli.main([*command, "--replace"]) == 0
    assert os.access(script, os.X_OK)
    assert cli.main(command) == 0  # a file with the same text may be written again


def test_all_is_what_each_makes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`deploy all` writes what each consumer has, in a directory of its name."""
    shared = ["--config", config.name, "--write"]
    assert cli.main(["deploy", ALL, *shared[:2]]) == 2
    assert "--write DIR is missing" in capsys.readouterr().err
    assert cli.main(["deploy", ALL, *shared, "all"]) == 0
    each = [name for name in CONSUMERS if name != ALL]
    for consumer in each:
        settings = shared[2:] if consumer == "ibex" else shared
        assert cli.main(["deploy", consumer, *settings, f"one/{consumer}"]) == 0
    found, expected = tree(config.parent / "all"), tree(config.parent / "one")
    assert found == expected
    assert {name.partition("/")[0] for name in found} == set(each)


def tree(directory: Path) -> Mapping[str, bytes]:
    """Return all files below a directory."""
    paths = [each for each in directory.rglob("*") if each.is_file()]
    return {str(each.relative_to(directory)): each.read_bytes() for each in paths}


def test_what_it_needs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing option, a wrong value or an unwritable place gives a message with the remedy."""
    assert cli.main(["deploy", "systemd"]) == 2
    assert "--config FILE is missing" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["deploy", "systemd", "--config", config.name, "--user", "a b"])
    assert "'a b' should be the name of a user" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["deploy", "ibex", "--instances", "100"])
    assert "'100' should be a number of instances, 1 to 99" in capsys.readouterr().err
    assert cli.main(["deploy", "systemd", "--config", config.name, "--write", config.name]) == 1
    assert "name another --write" in capsys.readouterr().err
