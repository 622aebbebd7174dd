"""Configuration: the three ways in, and what overrides what; mistakes: test_config_errors.py."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bgrscrpt_ioc.config import iocsettings
from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.load import load
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.lifecycle.events import Policy

Load = Callable[..., IocSettings]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a TOML text (or none) as `/tmp.../ioc.toml`, with an environment of its own."""
    monkeypatch.chdir(tmp_path)

    def _load(
        toml: str | bytes | None = None,
        *,
        script: str | None = None,
        name: str | None = None,
        environ: dict[str, str] | None = None,
        **overrides: Any,
    ) -> IocSettings:
        file = Path("ioc.toml")
        if toml is not None:
            file.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        return load(
            None if toml is None else file,
            None if script is None else Path(script),
            name,
            overrides,
            {"ICPVARDIR": "/var/icp"} if environ is None else environ,
        )

    return _load


ONE = '[instance.BGRSCRPT_01]\nscript = "/s/a.py"\n'


# --- the three ways in ---------------------------------------------------------------------------


def test_a_script_and_nothing_else(loaded: Load, tmp_path: Path) -> None:
    """With only a script everything has a default, and nothing is made on disk."""
    ioc = loaded(script="my script.py")
    assert ioc.model_dump(exclude={"instances"}) == {
        "prefix": "",
        "registry": "sqlite:////var/icp/bgrscrpt/iocdb.sqlite",
        "log_dir": Path("/var/icp/bgrscrpt/log"),
        "state_dir": Path("/var/icp/bgrscrpt"),
        "interfaces": ("127.0.0.1",),
        "port": 5064,
        "force": False,
        "cgroup": "auto",
        "echo": True,
        "log_format": "text",
        "strict": False,
        "asg": None,
        "write_hosts": (),
    }
    (instance,) = ioc.instances
    assert instance == InstanceSettings(
        name="BGRSCRPT_01",
        script=tmp_path / "my script.py",
        python=Path(sys.executable),
        cwd=tmp_path,
    )
    assert instance.policy == Policy()
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_many_instances(loaded: Load, tmp_path: Path) -> None:
    """Instances take the defaults of the file and override them; paths start from the file."""
    ioc = loaded(
        r"""
        prefix = "TE:NDW1234:"
        registry = "mysql+pymysql://iocdb:$iocdb@127.0.0.1/iocdb"
        log_dir = "logs"
        state_dir = "~/state"
        interfaces = ["127.0.0.1", "10.0.0.1"]
        port = 5066
        echo = false
        [defaults]
        autorestart = false
        backoff = 2
        [instance.BGRSCRPT_01]
        script = "scripts/a.py"
        [instance.BGRSCRPT_02]
        script = "/s/b.py"
        python = "/opt/genie/bin/python"
        python_path = ["/opt/scripts", "lib"]
        cwd = "/data"
        env = { MODE = "night" }
        args = ["-v", "$(P=x)"]
        path_map = { 'C:\Instrument' = "$(ROOT=/opt)/instrument", 'd:/' = "data" }
        backoff = 3.5
        restart = "always"
        at_start = "last"
        """
    )
    assert (ioc.prefix, ioc.port, ioc.echo) == ("TE:NDW1234:", 5066, False)
    assert ioc.registry == "mysql+pymysql://iocdb:$iocdb@127.0.0.1/iocdb"
    assert ioc.log_dir == tmp_path / "logs"
    assert ioc.state_dir == Path.home() / "state"
    assert ioc.interfaces == ("127.0.0.1", "10.0.0.1")
    one, two = ioc.instances
    assert (one.name, one.script) == ("BGRSCRPT_01", tmp_path / "scripts/a.py")
    assert (one.cwd, one.autorestart, one.backoff) == (tmp_path / "scripts", False, 2.0)
    assert (two.name, two.cwd, two.autorestart) == ("BGRSCRPT_02", Path("/data"), False)
    assert two.python == Path("/opt/genie/bin/python")
    assert two.python_path == (Path("/opt/scripts"), tmp_path / "lib")
    assert two.env == {"MODE": "night"}
    assert two.args == ("-v", "x")
    assert two.path_map == {
        "C:\\Instrument": Path("/opt/instrument"),
        "d:/": tmp_path / "data",
    }
    assert two.at_start == "last"
    assert two.policy == Policy(restart="always", backoff=3.5)


@pytest.mark.parametrize(
    ("name", "macros", "script"),
    [
        (None, None, "/scripts/background_script.py"),
        ("BGRSCRPT_01", None, "/scripts/background_script.py"),
        ("BGRSCRPT_02", None, "/scripts/background_script2.py"),
        ("BGRSCRPT_12", None, "/scripts/background_script12.py"),
        ("WATCHDOG", None, "/scripts/background_script.py"),
        ("BGRSCRPT_02", {"SCRIPT_PATH": "/x/y.py"}, "/x/y.py"),
        (None, {"SCRIPT_PATH": "$(ICPINSTSCRIPTROOT)/y.py", "N": 3}, "/scripts/y.py"),
        (None, {"SCRIPT_PATH": "", "OTHER": None}, "/scripts/background_script.py"),
    ],
)
def test_nothing_but_the_environment(
    loaded: Load, name: str | None, macros: dict[str, Any] | None, script: str
) -> None:
    """The ISIS way: the script follows from MACROS, else from the name and ICPINSTSCRIPTROOT."""
    ioc = loaded(
        name=name,
        environ={
            "MYPVPREFIX": "IN:LARMOR:",
            "ICPINSTSCRIPTROOT": "/scripts",
            "ICPVARDIR": "/var/icp",
            "MACROS": "" if macros is None else json.dumps(macros),
        },
    )
    assert ioc.prefix == "IN:LARMOR:"
    assert [each.script for each in ioc.instances] == [Path(script)]
    assert ioc.instances[0].name == (name or "BGRSCRPT_01")


# --- what overrides what -------------------------------------------------------------------------


def test_command_line_wins(loaded: Load) -> None:
    """The command line overrides the file, which overrides the environment."""
    ioc = loaded(
        f'prefix = "FILE:"\nport = 1111\n{ONE}backoff = 2\nstop_timeout = 3',
        script="/s/other.py",
        environ={"MYPVPREFIX": "ENV:", "EPICS_CA_SERVER_PORT": "2222", "ICPVARDIR": "/v"},
        prefix="LINE:",
        backoff="5",
        port=None,
    )
    assert (ioc.prefix, ioc.port) == ("LINE:", 1111)
    (instance,) = ioc.instances
    assert (instance.script, instance.cwd) == (Path("/s/other.py"), Path("/s"))
    assert (instance.backoff, instance.stop_timeout) == (5.0, 3.0)


def test_one_instance_of_a_file(loaded: Load) -> None:
    """A name picks one instance, and command-line settings are then its own."""
    ioc = loaded(ONE + '[instance.B]\nscript = "/b.py"', name="B", start_limit=0)
    assert [(each.name, each.start_limit) for each in ioc.instances] == [("B", 0)]


def test_one_script_path_is_not_the_script_of_many(loaded: Load) -> None:
    """SCRIPT_PATH counts for one instance only; several fall back on their numbers."""
    environ = {"MACROS": '{"SCRIPT_PATH": "/x.py"}', "ICPINSTSCRIPTROOT": "/s", "ICPVARDIR": "/v"}
    ioc = loaded("[instance.BGRSCRPT_01]\n[instance.BGRSCRPT_02]", environ=environ)
    scripts = [str(each.script) for each in ioc.instances]
    assert scripts == ["/s/background_script.py", "/s/background_script2.py"]


@pytest.mark.parametrize(
    ("environ", "interfaces", "port"),
    [
        ({}, ("127.0.0.1",), 5064),
        ({"EPICS_CAS_INTF_ADDR_LIST": " ", "EPICS_CAS_SERVER_PORT": ""}, ("127.0.0.1",), 5064),
        ({"EPICS_CAS_INTF_ADDR_LIST": "10.0.0.1  10.0.0.2"}, ("10.0.0.1", "10.0.0.2"), 5064),
        ({"EPICS_CA_SERVER_PORT": "6000"}, ("127.0.0.1",), 6000),
        (
            {"EPICS_CA_SERVER_PORT": "6000", "EPICS_CAS_SERVER_PORT": "7000"},
            ("127.0.0.1",),
            7000,
        ),
    ],
)
def test_epics_variables(
    loaded: Load, environ: dict[str, str], interfaces: tuple[str, ...], port: int
) -> None:
    """EPICS_CAS_* say where to serve; next comes EPICS_CA_SERVER_PORT; loopback is the default."""
    ioc = loaded(script="a.py", environ={"ICPVARDIR": "/v", **environ})
    assert (ioc.interfaces, ioc.port) == (interfaces, port)


def test_state_without_icpvardir(
    loaded: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without ICPVARDIR the state lies where the platform keeps a user's state."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "$(x)"))
    ioc = loaded(script="a.py", environ={})
    assert ioc.state_dir == tmp_path / "$(x)" / "bgrscrpt"
    assert ioc.log_dir == ioc.state_dir / "log"


def test_state_follows_its_key(loaded: Load) -> None:
    """The macro STATE is the key state_dir where that is given."""
    ioc = loaded(f'state_dir = "/st"\n{ONE}cwd = "$(STATE)/w"')
    assert ioc.registry == "sqlite:////st/iocdb.sqlite"
    assert (ioc.log_dir, ioc.instances[0].cwd) == (Path("/st/log"), Path("/st/w"))


@pytest.mark.parametrize("known", ["KIT_ROOT", "EPICS_KIT_ROOT"])
def test_the_kit_roots_stand_in_for_each_other(loaded: Load, known: str) -> None:
    """KIT_ROOT and EPICS_KIT_ROOT are macros, each the other's default."""
    toml = '[instance.A]\nscript = "$(KIT_ROOT)/a"\nargs = ["$(EPICS_KIT_ROOT)"]'
    (instance,) = loaded(toml, environ={known: "/kit", "ICPVARDIR": "/v"}).instances
    assert (instance.script, instance.args) == (Path("/kit/a"), ("/kit",))


def test_a_bare_interpreter_name(loaded: Load, tmp_path: Path) -> None:
    """A python without a slash is looked for in PATH; a link stays a link; none stays a name."""
    python = tmp_path / "python3.99"
    python.symlink_to("/bin/sh")
    environ = {"PATH": str(tmp_path), "ICPVARDIR": "/v"}
    (instance,) = loaded(script="a.py", environ=environ, python="python3.99").instances
    assert instance.python == python
    (instance,) = loaded(script="a.py", environ=environ, python="python3.98").instances
    assert instance.python == Path("python3.98")


def test_python_path_of_the_ioc(loaded: Load, tmp_path: Path) -> None:
    """The script's import path is by default the PYTHONPATH that the IOC was launched with."""
    environ = {"PYTHONPATH": "/a:/b$(c)::d", "ICPVARDIR": "/v"}
    (instance,) = loaded(script="a.py", environ=environ).instances
    assert instance.python_path == (Path("/a"), Path("/b$(c)"), tmp_path / "d")


def test_a_path_on_the_command_line_is_taken_as_it_is(loaded: Load, tmp_path: Path) -> None:
    """A script argument is a path, not a text with macros."""
    assert loaded(script="a$(b).py").instances[0].script == tmp_path / "a$(b).py"


def test_a_file_from_windows(loaded: Load) -> None:
    """A byte order mark and CRLF do no harm."""
    assert loaded(b"\xef\xbb\xbf" + ONE.replace("\n", "\r\n").encode()).port == 5064


# --- the settings themselves ---------------------------------------------------------------------


def test_settings_hide_the_password(loaded: Load) -> None:
    """The registry's password is in no printed form of the settings."""
    ioc = loaded(f'registry = "mysql+pymysql://iocdb:se@cr$et@10.0.0.1/iocdb"\n{ONE}')
    assert ioc.registry_shown == "mysql+pymysql://iocdb:***@10.0.0.1/iocdb"
    for text in (repr(ioc), str(ioc)):
        assert "se@cr" not in text
        assert ioc.registry_shown in text


def test_settings_are_frozen(loaded: Load) -> None:
    """Settings cannot be changed once they are checked."""
    (instance,) = loaded(ONE).instances
    with pytest.raises(ValidationError, match="frozen"):
        setattr(instance, "backoff", 3.0)  # noqa: B010 - pyright knows better


def test_two_instances_of_one_name(loaded: Load) -> None:
    """Settings put together by hand cannot hold one name twice."""
    ioc = loaded(ONE)
    with pytest.raises(ValidationError, match="two have one name: BGRSCRPT_01, BGRSCRPT_01"):
        IocSettings(**{**dict(ioc), "instances": ioc.instances * 2})


def test_paths_are_absolute(loaded: Load) -> None:
    """Settings put together by hand cannot hold a relative script."""
    (instance,) = loaded(ONE).instances
    with pytest.raises(ValidationError, match="should be an absolute path"):
        InstanceSettings(**{**dict(instance), "script": Path("a.py")})


def test_the_longest_pv_name() -> None:
    """The length limit is checked with the longest name of the records that are served."""
    records = pytest.importorskip("bgrscrpt_ioc.records.table")
    assert max(map(len, (row.name for row in records.RECORDS))) == len(iocsettings.LONGEST_PV)


# --- the ISIS way --------------------------------------------------------------------------------

# As ISIS's launcher has them for a background script: config_env, and runIOC.bat.
LAUNCHER = {
    "MYPVPREFIX": "TE:NDW1234:",
    "KIT_ROOT": "/opt/EPICS",
    "EPICS_KIT_ROOT": "/opt/EPICS",
    "ICPINSTSCRIPTROOT": "/opt/Python",
    "ICPVARDIR": "/var/icp",
    "PYTHON3": "/opt/genie/bin/python3",
    "PYTHON3W": "/opt/genie/bin/python3w",
    "PYTHONPATH": "/opt/a:/opt/b",
    "PYTHONUNBUFFERED": "TRUE",
    "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
    "EPICS_CAS_BEACON_ADDR_LIST": "127.255.255.255",
    "MACROS": '{"SCRIPT_PATH": "/opt/other.py"}',
}
IOCDB = "mysql+pymysql://iocdb:$iocdb@127.0.0.1/iocdb"
# Variable -> (what it says, the same without it).
MEANS: dict[str, tuple[Callable[[IocSettings], Any], Any, Any]] = {
    "MYPVPREFIX": (lambda ioc: ioc.prefix, "TE:NDW1234:", ""),
    "ICPINSTSCRIPTROOT": (lambda ioc: ioc.registry, IOCDB, "sqlite:////var/icp/bgrscrpt/iocdb.sqlite"),
    "ICPVARDIR": (lambda ioc: ioc.state_dir, Path("/var/icp/bgrscrpt"), None),
    "PYTHON3W": (
        lambda ioc: ioc.instances[0].python,
        Path("/opt/genie/bin/python3w"),
        Path("/opt/genie/bin/python3"),
    ),
    "PYTHON3": (
        lambda ioc: ioc.instances[0].python,
        Path("/opt/genie/bin/python3w"),
        Path("/opt/genie/bin/python3w"),
    ),
    "PYTHONPATH": (
        lambda ioc: ioc.instances[0].python_path,
        (Path("/opt/a"), Path("/opt/b")),
        (),
    ),
    "EPICS_CAS_INTF_ADDR_LIST": (lambda ioc: ioc.interfaces, ("127.0.0.1",), ("127.0.0.1",)),
    "MACROS": (
        lambda ioc: ioc.instances[0].script,
        Path("/opt/other.py"),
        Path("/opt/Python/background_script.py"),
    ),
}  # fmt: skip
# Given to the script, or read by the server; other tests have them.
ELSEWHERE = {"KIT_ROOT", "EPICS_KIT_ROOT", "EPICS_CAS_BEACON_ADDR_LIST", "PYTHONUNBUFFERED"}


@pytest.mark.parametrize("variable", MEANS)
def test_a_variable_of_isis(loaded: Load, variable: str) -> None:
    """Each variable of ISIS's launcher means what the page says, beside all the others."""
    means, with_it, without_it = MEANS[variable]
    assert means(loaded(environ=LAUNCHER)) == with_it
    rest = {name: value for name, value in LAUNCHER.items() if name != variable}
    if without_it is not None:
        assert means(loaded(environ=rest)) == without_it


def test_the_page_has_every_variable() -> None:
    """The table of install-beside-isis.md has the launcher's variables, all of them tested."""
    page = Path(__file__).parents[2] / "docs/how-to/install-beside-isis.md"
    rows = [line.split("|")[1] for line in page.read_text().splitlines() if line.startswith("| ")]
    named = {name for row in rows for name in re.findall("`([A-Z0-9_]+)`", row)}
    assert named == LAUNCHER.keys() == MEANS.keys() | ELSEWHERE


def test_isis_way(loaded: Load, tmp_path: Path) -> None:
    """The launcher's directory is the working directory; a setting that is given counts."""
    ioc = loaded(environ=LAUNCHER)
    assert (ioc.instances[0].cwd, ioc.registry) == (tmp_path, IOCDB)
    ioc = loaded(environ=LAUNCHER, registry="sqlite:////r", cwd="/c", python="/p")
    assert (ioc.registry, str(ioc.instances[0].cwd), str(ioc.instances[0].python)) == (
        "sqlite:////r",
        "/c",
        "/p",
    )
    rest = {name: value for name, value in LAUNCHER.items() if name != "MACROS"}
    second = loaded(environ=rest, name="BGRSCRPT_02").instances[0]
    assert second.script == Path("/opt/Python/background_script2.py")
    assert second.cwd == tmp_path


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"script": "/s/a.py"}, id="script"),
        pytest.param({"toml": ONE}, id="file"),
        pytest.param({"without": "ICPVARDIR"}, id="no ICPVARDIR"),
        pytest.param({"without": "ICPINSTSCRIPTROOT"}, id="no ICPINSTSCRIPTROOT"),
    ],
)
def test_isis_way_surprises_nobody(loaded: Load, changes: dict[str, str]) -> None:
    """With a script, a file, or without ISIS's directories, nothing is taken to be ISIS's."""
    environ = dict(LAUNCHER)
    environ.pop(changes.pop("without", ""), None)
    ioc = loaded(environ=environ, **changes)
    assert ioc.registry.startswith("sqlite:")
    assert ioc.instances[0].python == Path(sys.executable)
    assert ioc.instances[0].cwd == ioc.instances[0].script.parent


def test_escape_of_a_macro(loaded: Load) -> None:
    r"""`\$(` is a dollar and a bracket: a password may hold them."""
    toml = "registry = 'mysql+pymysql://u:a\\$(b)@h/iocdb'\n" + ONE
    assert loaded(toml).registry == "mysql+pymysql://u:a$(b)@h/iocdb"
