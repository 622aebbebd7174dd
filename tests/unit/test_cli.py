"""The command line: options reach the settings, a mistake gives one line, `run` imports little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from commands_page import subcommands

from bgrscrpt_ioc import __version__
from bgrscrpt_ioc.cli import main as cli
from bgrscrpt_ioc.cli.address import address_of
from bgrscrpt_ioc.cli.finding import instances_asked
from bgrscrpt_ioc.cli.parser import parser
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.load import INSTANCE_KEYS, IOC_KEYS
from bgrscrpt_ioc.host.streams import UNREAD
from bgrscrpt_ioc.records.table import PROCSERV_RECORDS, RECORDS

HEAVY = {"typer", "rich", "epics", "numpy", "sqlalchemy", "caproto", "asyncio", "subprocess"}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the tester's own variables from the environment."""
    for variable in ("MYPVPREFIX", "MACROS", "ICPINSTSCRIPTROOT", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("EPICS_CAS_INTF_ADDR_LIST", "EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ICPVARDIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[IocSettings]:
    """Return what `run` would serve: a stand-in replaces the IOC and ends with exit code 3."""
    calls: list[IocSettings] = []

    def serve(settings: IocSettings, open_config: str, _startup: object) -> int:
        assert open_config == ""
        calls.append(settings)
        return 3

    monkeypatch.setitem(sys.modules, "bgrscrpt_ioc.ioc.serve", SimpleNamespace(serve=serve))
    return calls


def test_run_with_a_script(served: list[IocSettings], tmp_path: Path) -> None:
    """`run SCRIPT` serves that script, and exits with the IOC's exit code."""
    assert cli.main(["run", "a.py"]) == 3
    (settings,) = served
    assert [each.script for each in settings.instances] == [tmp_path / "a.py"]


@pytest.mark.parametrize(
    ("line", "args"),
    [
        (["a.py", "--", "--fast", "COM3"], ("--fast", "COM3")),
        (["a.py", "--arg", "x", "--prefix", "TE:", "--", "--", "$(NO)"], ("x", "--", "$(NO)")),
        (["a.py", "--"], ()),
    ],
)
def test_arguments_of_the_script(
    line: list[str], args: tuple[str, ...], served: list[IocSettings]
) -> None:
    """Arguments behind `--` go to the script unchanged, even options and macros."""
    assert cli.main(["run", *line]) == 3
    assert served[0].instances[0].args == args


def test_listing_pvs(served: list[IocSettings], capsys: pytest.CaptureFixture[str]) -> None:
    """`--list-pvs` prints the names of all PVs, one a line, and serves nothing."""
    assert cli.main(["run", "a.py", "--prefix", "TE:", "--procserv-pvs", "--list-pvs"]) == 0
    assert served == []
    names = [f"TE:BGRSCRPT_01:{each.name}" for each in RECORDS]
    names += [f"TE:CS:PS:BGRSCRPT_01:{each.name}" for each in PROCSERV_RECORDS]
    assert capsys.readouterr().out.splitlines() == names


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--prefix", "TE"], "warning: prefix: 'TE' has no separator at its end"),
        (["--port", "5000"], "warning: port: EPICS clients ignore a port of 5000 or less"),
        (["--prefix", "TE:", "--port", "5001"], ""),
    ],
)
def test_doubtful_settings(
    options: list[str],
    says: str,
    served: list[IocSettings],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`run` warns about a prefix without a separator, and about a port that no client searches."""
    Path("a.py").touch()
    assert cli.main(["run", "a.py", *options]) == 3
    assert len(served) == 1
    err = capsys.readouterr().err
    assert err.startswith(says)
    assert err.count("\n") == bool(says)


OPTIONS: dict[str, tuple[list[str], Any]] = {
    "prefix": (["--prefix", "TE:"], "TE:"),
    "registry": (["--registry", "sqlite:////r"], "sqlite:////r"),
    "log_dir": (["--log-dir", "/l"], Path("/l")),
    "state_dir": (["--state-dir", "/s"], Path("/s")),
    "interfaces": (
        ["--interface", "127.0.0.1", "--interface", "10.0.0.1"],
        ("127.0.0.1", "10.0.0.1"),
    ),
    "port": (["--port", "6000"], 6000),
    "asg": (["--asg", "/etc/a.acf"], Path("/etc/a.acf")),
    "write_hosts": (["--write-host", "a", "--write-host", "10.0.0.0/8"], ("a", "10.0.0.0/8")),
    "force": (["--force"], True),
    "log_format": (["--log-format", "json"], "json"),
    "echo": (["--no-echo"], False),
    "strict": (["--strict"], True),
    "python": (["--python", "/p"], Path("/p")),
    "python_path": (["--python-path", "/a", "--python-path", "/b"], (Path("/a"), Path("/b"))),
    "cwd": (["--cwd", "/c"], Path("/c")),
    "env": (["--env", "A=1=2", "--env", "B="], {"A": "1=2", "B": ""}),
    "args": (["--arg", "x", "--arg=-v"], ("x", "-v")),
    "path_map": (["--path-map", "C:\\I=/i"], {"C:\\I": Path("/i")}),
    "preload": (["--preload", "json", "--preload", "os.path"], ("json", "os.path")),
    "at_start": (["--at-start", "last"], "last"),
    "autorestart": (["--no-autorestart"], False),
    "restart": (["--restart", "always"], "always"),
    "backoff": (["--backoff", "2.5"], 2.5),
    "backoff_max": (["--backoff-max", "99"], 99.0),
    "healthy_after": (["--healthy-after", "9"], 9.0),
    "start_limit": (["--start-limit", "0"], 0),
    "start_timeout": (["--start-timeout", "9"], 9.0),
    "stop_signal": (["--stop-signal", "SIGTERM"], "SIGTERM"),
    "thread_death": (["--thread-death", "fail"], "fail"),
    "stop_timeout": (["--stop-timeout", "9"], 9.0),
    "heartbeat_timeout": (["--heartbeat-timeout", "9"], 9.0),
    "restart_when_hung": (["--restart-when-hung"], True),
    "notify": (["--notify", "on_failure=mail 'a b'"], {"on_failure": ("mail", "a b")}),
    "links": (["--links", "A plot=http://h/?a=b"], {"A plot": "http://h/?a=b"}),
    "on_change": (["--on-change", "restart"], "restart"),
    "cgroup": (["--cgroup", "off"], "off"),
    "memory_max": (["--memory-max", "512M"], 512_000_000),
    "cpu_max": (["--cpu-max", "150"], 150.0),
    "nproc_max": (["--nproc-max", "9"], 9),
    "nofile_max": (["--nofile-max", "99"], 99),
    "nice": (["--nice", "5"], 5),
    "procserv_pvs": (["--procserv-pvs"], True),
    "iocstats_pvs": (["--iocstats-pvs"], True),
    "log_tail": (["--log-tail", "1000"], 1000),
    "log_keep_days": (["--log-keep-days", "9"], 9),
    "log_keep_mb": (["--log-keep-mb", "9"], 9),
}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "tries to start the script again after 1 s and at growing intervals, 5 times in all"),
        (["--start-limit", "0", "--backoff", "2"], "again after 2 s and at growing intervals. "),
        (["--restart", "never"], "serves the PVs all the same, and waits for a START"),
        (["--at-start", "stop"], "and START fails until the file is there"),
    ],
)
def test_a_script_that_does_not_exist(
    options: list[str],
    says: str,
    served: list[IocSettings],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If a script does not exist, `run` says so first and what follows, and serves all the same."""
    assert cli.main(["run", "nowhere.py", "--prefix", "TE:", *options]) == 3
    assert len(served) == 1
    err = capsys.readouterr().err
    begin = (
        f"warning: BGRSCRPT_01: script: {tmp_path / 'nowhere.py'} does not exist; the IOC serves"
    )
    assert err.startswith(begin)
    assert says in err
    assert err.endswith(" Create the file, or end the IOC and correct the path\n")


@pytest.mark.parametrize("key", sorted(IOC_KEYS | INSTANCE_KEYS - {"script"}))
def test_every_key_is_an_option(served: list[IocSettings], key: str) -> None:
    """Each setting can be given on the command line."""
    options, value = OPTIONS[key]
    cli.main(["run", "a.py", *options])
    (settings,) = served
    assert getattr(settings if key in IOC_KEYS else settings.instances[0], key) == value


def test_run_from_a_file(served: list[IocSettings], tmp_path: Path) -> None:
    """`--config` serves all instances of a file, `--name` one."""
    file = tmp_path / "ioc.toml"
    file.write_text('[instance.A]\nscript = "/a.py"\n[instance.B]\nscript = "/b.py"\n')
    cli.main(["run", "--config", str(file)])
    cli.main(["run", "--config", str(file), "--name", "B"])
    assert [[each.name for each in settings.instances] for settings in served] == [
        ["A", "B"],
        ["B"],
    ]


def test_a_wrong_configuration(
    served: list[IocSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in the configuration gives one line on stderr and exit code 2; none is served."""
    assert cli.main(["run", "a.py", "--backoff", "soon"]) == 2
    assert served == []
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("command line: --backoff: is 'soon', should be a valid number")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["run", "a.py", "--backof", "1"], "unrecognized arguments: --backof"),
        (["run", "a.py", "--env", "A"], "argument --env: 'A' should be NAME=VALUE"),
        (["stop"], "required: NAME"),
    ],
)
def test_wrong_use(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that cannot be understood ends with exit code 2 and the reason."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("problems", "code"), [([], 0), (["A: SyntaxError: bad"], 1)])
def test_check(
    problems: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`check` prints a line for each problem and exits non-zero when there is any."""
    # The real one runs interpreters.
    monkeypatch.setattr("bgrscrpt_ioc.script.checker.check", lambda _settings: problems)
    assert cli.main(["check", "/a.py"]) == code
    out, err = capsys.readouterr()
    assert err.splitlines() == problems
    assert out == ("" if problems else "BGRSCRPT_01: /a.py: good\n")


SECRETS = """
prefix = "$(P=TE:)"
registry = "mysql+pymysql://u:$(DBPASS)@127.0.0.1/iocdb"
write_hosts = [17]
[defaults]
env = { PASSWORD = "$(SECRET)" }
[instance.A]
script = "$(NOWHERE)/a.py"
[instance.B]
"""


def test_clients_need_no_secrets(tmp_path: Path) -> None:
    """A client command reads prefix, port and names of a file, and looks at no other key."""
    file = tmp_path / "ioc.toml"
    file.write_text(SECRETS)
    arguments = parser().parse_args(["status", "--config", str(file), "--port", "6000"])
    address = address_of(arguments)
    assert (address.prefix, address.port, address.names) == ("TE:", 6000, ("A", "B"))
    asked = instances_asked(arguments, address)
    assert [each.pv for each in asked] == ["TE:A:", "TE:B:"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = 0", "ioc.toml: port: is 0, should be greater than or equal to 1"),
        ('prefix = "$(NO)"', "ioc.toml: prefix: macro 'NO' is not defined"),
        ("[instance.A]\n", "B: the file has no such instance, only A"),
        ("port 1", "ioc.toml: line 1: Expected '='"),
    ],
)
def test_clients_of_a_wrong_file(
    text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A client command checks the keys that it reads from a file."""
    (tmp_path / "ioc.toml").write_text(text)
    assert cli.main(["stop", "B", "--config", "ioc.toml"]) == 2
    assert says in capsys.readouterr().err


HELD_OF_A = [("TE:A:", "X_01", 17001), ("TE:A:", "X_02", 17002)]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--prefix", "TE:A:"], [("TE:A:", "X_01", 17001), ("TE:A:", "X_02", 17002)]),
        (["--prefix", "TE:A:", "--port", "17002"], [("TE:A:", "X_02", 17002)]),
        (["--prefix", "TE:", "--port", "17001"], [("TE:", "BGRSCRPT_01", 17001)]),
        (["--prefix", "", "--port", "17003"], [("", "PLAIN", 17003)]),
        ([], [("", "PLAIN", 17003), ("TE:A:", "X_01", 17001), ("TE:A:", "X_02", 17002)]),
        (["TE:A:", "TE:B:"], [*HELD_OF_A, ("TE:B:", "BGRSCRPT_01", 5064)]),
        (["TE:B:", "--prefix", "TE:A:"], [*HELD_OF_A, ("TE:B:", "BGRSCRPT_01", 5064)]),
    ],
)
def test_instances_of_this_host(
    options: list[str], found: list[tuple[str, str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a name, `status` shows all instances of this host, or those of a prefix or a port."""
    held = [(17002, "TE:A:X_02"), (17001, "TE:A:X_01"), (17003, "PLAIN")]
    monkeypatch.setattr("bgrscrpt_ioc.cli.finding.held_on_this_host", lambda: held)
    arguments = parser().parse_args(["status", *options])
    asked = instances_asked(arguments, address_of(arguments))
    assert [(each.prefix, each.name, each.port) for each in asked] == found


def test_a_registry_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """If the registry cannot be read, `registry` says why in one line, without the password."""
    assert cli.main(["registry", "--registry", "mysql+pymysql://u:secret@127.0.0.1:1/d"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "secret" not in err


COMMANDS = subcommands(parser())


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of every command can be printed, in 80 columns, with each option and each `%`."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*name.split(), "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "%%" not in out
    assert max(map(len, out.splitlines())) <= 80
    actions = COMMANDS[name]._actions if name else []
    assert [each for action in actions for each in action.option_strings if each not in out] == []


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the package."""
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"bgrscrpt-ioc {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_file_of_a_command(name: str) -> None:
    """The parser for one command has this command, and its help is that of the whole parser."""
    mine = subcommands(parser(name.split()[0]))
    assert len(mine) < len(COMMANDS)
    assert mine[name].format_help() == COMMANDS[name].format_help()


def test_run_starts_lean() -> None:
    """Reading the settings of `run` imports nothing that only other commands need."""
    code = "import sys; from bgrscrpt_ioc.cli.parser import parser; parser(); print(*sys.modules)"
    root = Path(cli.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())


# --- `check` means that `run` would work ----------------------------------------------------------

WRONG = {
    "no access file": (
        ["--asg", "nowhere.acf"],
        "asg: {here}/nowhere.acf: cannot be read: No such",
    ),
    "a bad access file": (["--asg", "bad.acf"], "asg: {here}/bad.acf: line 1: "),
    "a state directory in a file": (
        ["--state-dir", "file/state"],
        "state_dir: {here}/file/state cannot be made: {here}/file: Not a directory",
    ),
    "a log directory in a file system that makes none": (
        ["--log-dir", "/proc/log"],
        "log_dir: /proc/log cannot be made: /proc: ",
    ),
    "a log directory that cannot be written": (
        ["--log-dir", "/proc/sys"],
        "log_dir: /proc/sys cannot be written: /proc/sys: ",
    ),
    "a registry of which nothing can be made": (
        ["--registry", "mysql+pymysql://u:secret@host:port/iocdb"],
        "registry: ",
    ),
    "an address of another host": (
        ["--interface", "192.0.2.1"],
        "interfaces: 192.0.2.1: cannot serve there: Cannot assign requested address",
    ),
    "a network that is none": (
        ["--write-host", "10.0.0.0/99"],
        "command line: --write-host[0]: '10.0.0.0/99' should be a network, like 192.0.2.0/24",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_check_finds_what_run_would_fail_of(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`check` prints one line that names the setting, shows no password, and leaves no file."""
    options, says = WRONG[what]
    (tmp_path / "bad.acf").write_text("ASG(DEFAULT {")
    (tmp_path / "file").touch()
    (tmp_path / "a.py").touch()
    before = sorted(tmp_path.rglob("*"))
    assert cli.main(["check", "a.py", *options]) != 0
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert err.startswith(says.format(here=tmp_path))
    assert "secret" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_check_of_a_registry_that_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database that is down is a warning: the scripts run without it."""
    (tmp_path / "a.py").touch()
    options = ["--registry", "mysql+pymysql://u:secret@127.0.0.1:1/iocdb"]
    assert cli.main(["check", "a.py", *options]) == 0
    out, err = capsys.readouterr()
    assert out == f"BGRSCRPT_01: {tmp_path}/a.py: good\n"
    assert err.startswith("warning: registry: ")
    assert "secret" not in err


# --- where output goes ----------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    """A name that the terminal's encoding lacks is printed with escapes, JSON stays JSON."""
    text = "\u017d\U0001f600"
    code = (
        "import sys; from bgrscrpt_ioc.host import streams; streams.complete()\n"
        "from bgrscrpt_ioc.cli.printing import show\n"
        "from bgrscrpt_ioc.host.streams import complain\n"
        f"row = {{'a': {text!r}}}\nshow([row], as_json=True); show([row], as_json=False)\n"
        "complain(row['a'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONIOENCODING": encoding, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        cwd=tmp_path,
        capture_output=True,
        check=True,
    )
    escaped = text.encode(encoding, "backslashreplace")
    lines = done.stdout.splitlines()
    assert json.loads(b"".join(lines[:-2]).decode(encoding)) == [{"a": text}]
    assert (lines[-1], done.stderr.strip()) == (escaped, escaped)


STREAMS = {
    "stdout closed": "{} >&-",
    "stdout full": "{} >/dev/full",
    "stdout without a reader": "set -o pipefail; {{ sleep 0.2; {}; }} | true",
    "stderr closed": "{} 2>&-",
    "stderr full": "{} 2>/dev/full",
    "all closed": "{} <&- >&- 2>&-",
    "all full": "{} >/dev/full 2>/dev/full",
}
PRINTING = {
    "run --help": 0,
    "completion bash": 0,
    "status --prefix NOBODY:": 4,
    "run a.py --list-pvs": 0,  # only for a stdout that does not work, like those below
    "check a.py": 0,
    "db": 0,
    "files": 0,
    "deploy screens": 0,
    "deploy alarms": 0,
    "deploy ibex": 0,
    "deploy channelfinder": 0,
}
SILENT = {
    "registry": 1,
    "stop BGRSCRPT_01": 1,
    "autorestart BGRSCRPT_01 on": 1,
    "info BGRSCRPT_01": 1,
    "log BGRSCRPT_01": 1,
    "fly": 2,
    "status --port 0": 2,
}


@pytest.mark.parametrize("streams", STREAMS)
def test_commands_with_any_streams(streams: str, tmp_path: Path) -> None:
    """With any standard streams, no command ends by a traceback; lost output is a failure."""
    special = {"stdout full": 1, "all full": 1, "stdout without a reader": UNREAD}.get(streams)
    (tmp_path / "a.py").touch()
    lines = dict(list(PRINTING.items())[: None if streams.startswith("stdout") else 3])
    expected = {line: special or code for line, code in lines.items()}
    if streams.startswith("all"):
        expected |= SILENT
    started = {
        line: subprocess.Popen(
            ["bash", "-c", STREAMS[streams].format(f"{sys.executable} -m bgrscrpt_ioc {line}")],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for line in expected
    }
    told = {line: process.communicate()[0] for line, process in started.items()}
    assert {line: process.returncode for line, process in started.items()} == expected
    assert not [text for text in told.values() if "Traceback" in text]
