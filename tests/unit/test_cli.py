"""The command line: options reach the settings, mistakes take one line, `run` starts lean."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bgrscrpt_ioc import cli
from bgrscrpt_ioc.config.load import INSTANCE_KEYS, IOC_KEYS
from bgrscrpt_ioc.config.settings import IocSettings

HEAVY = {"typer", "rich", "epics", "numpy", "sqlalchemy", "caproto", "asyncio", "subprocess"}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment of the tester's gets in."""
    for variable in ("MYPVPREFIX", "MACROS", "ICPINSTSCRIPTROOT", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("EPICS_CAS_INTF_ADDR_LIST", "EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ICPVARDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[IocSettings, bool]]:
    """What `run` would serve; the IOC itself is replaced, its exit code is 3."""
    calls: list[tuple[IocSettings, bool]] = []

    def serve(settings: IocSettings, list_pvs: bool, open_config: str) -> int:
        assert open_config == ""
        calls.append((settings, list_pvs))
        return 3

    monkeypatch.setitem(sys.modules, "bgrscrpt_ioc.ioc", SimpleNamespace(serve=serve))
    return calls


def test_run_with_a_script(served: list[tuple[IocSettings, bool]], tmp_path: Path) -> None:
    """`run SCRIPT` serves that script, and exits with the IOC's exit code."""
    assert cli.main(["run", "a.py"]) == 3
    ((settings, list_pvs),) = served
    assert [each.script for each in settings.instances] == [tmp_path / "a.py"]
    assert list_pvs is False


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
    "fast_reads": (["--no-fast-reads"], False),
    "echo": (["--no-echo"], False),
    "strict": (["--strict"], True),
    "python": (["--python", "/p"], Path("/p")),
    "python_path": (["--python-path", "/a", "--python-path", "/b"], (Path("/a"), Path("/b"))),
    "cwd": (["--cwd", "/c"], Path("/c")),
    "env": (["--env", "A=1=2", "--env", "B="], {"A": "1=2", "B": ""}),
    "args": (["--arg", "x", "--arg=-v"], ("x", "-v")),
    "path_map": (["--path-map", "C:\\I=/i"], {"C:\\I": Path("/i")}),
    "warm_spare": (["--warm-spare"], True),
    "preload": (["--warm-spare", "--preload", "json", "--preload", "os.path"], ("json", "os.path")),
    "at_start": (["--at-start", "last"], "last"),
    "autorestart": (["--no-autorestart"], False),
    "restart": (["--restart", "always"], "always"),
    "backoff": (["--backoff", "2.5"], 2.5),
    "backoff_max": (["--backoff-max", "99"], 99.0),
    "healthy_after": (["--healthy-after", "9"], 9.0),
    "start_limit": (["--start-limit", "0"], 0),
    "start_timeout": (["--start-timeout", "9"], 9.0),
    "stop_timeout": (["--stop-timeout", "9"], 9.0),
    "heartbeat_timeout": (["--heartbeat-timeout", "9"], 9.0),
    "restart_when_hung": (["--restart-when-hung"], True),
    "cgroup": (["--cgroup", "off"], "off"),
    "memory_max": (["--memory-max", "512M"], 512_000_000),
    "cpu_max": (["--cpu-max", "150"], 150.0),
    "nproc_max": (["--nproc-max", "9"], 9),
    "nofile_max": (["--nofile-max", "99"], 99),
    "nice": (["--nice", "5"], 5),
    "procserv_pvs": (["--procserv-pvs"], True),
    "log_tail": (["--log-tail", "1000"], 1000),
    "log_keep_days": (["--log-keep-days", "9"], 9),
    "log_keep_mb": (["--log-keep-mb", "9"], 9),
}


@pytest.mark.parametrize("key", sorted(IOC_KEYS | INSTANCE_KEYS - {"script"}))
def test_every_key_is_an_option(served: list[tuple[IocSettings, bool]], key: str) -> None:
    """Each setting can be given on the command line."""
    options, value = OPTIONS[key]
    cli.main(["run", "a.py", *options])
    ((settings, _),) = served
    assert getattr(settings if key in IOC_KEYS else settings.instances[0], key) == value


def test_run_from_a_file(served: list[tuple[IocSettings, bool]], tmp_path: Path) -> None:
    """`--config` serves all instances of a file, `--name` one; `--list-pvs` is passed on."""
    file = tmp_path / "ioc.toml"
    file.write_text('[instance.A]\nscript = "/a.py"\n[instance.B]\nscript = "/b.py"\n')
    cli.main(["run", "--config", str(file), "--list-pvs"])
    cli.main(["run", "--config", str(file), "--name", "B"])
    assert [[each.name for each in settings.instances] for settings, _ in served] == [
        ["A", "B"],
        ["B"],
    ]
    assert [list_pvs for _, list_pvs in served] == [True, False]


def test_a_wrong_configuration(
    served: list[tuple[IocSettings, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake is told in a line on stderr, with exit code 2, and nothing is served."""
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
    checker = SimpleNamespace(check=lambda _settings: problems)  # the real one runs interpreters
    monkeypatch.setitem(sys.modules, "bgrscrpt_ioc.checker", checker)
    assert cli.main(["check", "/a.py"]) == code
    out, err = capsys.readouterr()
    assert err.splitlines() == problems
    assert out == ("" if problems else "BGRSCRPT_01: /a.py: good\n")


def test_a_registry_that_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    """`registry` says in a line why there is nothing to show, without the password."""
    assert cli.main(["registry", "--registry", "mysql+pymysql://u:secret@127.0.0.1:1/d"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "secret" not in err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the package."""
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"bgrscrpt-ioc {cli.__version__}\n"


def test_run_starts_lean() -> None:
    """Reading the settings of `run` imports nothing that only other commands need."""
    code = "import sys; from bgrscrpt_ioc import cli; cli.parser(); print(*sys.modules)"
    root = Path(cli.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())
