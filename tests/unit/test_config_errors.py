"""Mistakes in a configuration: each gives one line that names the file, the key and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgrscrpt_ioc.config.load import IOC_KEYS, ConfigError, load

Problems = Callable[..., list[str]]
A = '[instance.A]\nscript = "/a.py"\n'
B = '[instance.B]\nscript = "/b.py"\n'
LONG = "P" * 40


@pytest.fixture
def problems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Problems:
    """Load a TOML text (or none) as `ioc.toml`; return the lines of the error."""
    monkeypatch.chdir(tmp_path)

    def _problems(
        toml: str | bytes | None = None,
        *,
        script: str | None = None,
        name: str | None = None,
        environ: dict[str, str] | None = None,
        **overrides: Any,
    ) -> list[str]:
        file = None if toml is None else Path("ioc.toml")
        if file and toml is not None:
            file.write_bytes(toml if isinstance(toml, bytes) else toml.encode())
        with pytest.raises(ConfigError) as caught:
            load(
                file,
                None if script is None else Path(script),
                name,
                overrides,
                {"ICPVARDIR": "/var/icp", **(environ or {})},
            )
        assert str(caught.value).splitlines() == list(caught.value.problems)
        return list(caught.value.problems)

    return _problems


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        (A + "backof = 1", "[instance.A] backof: unknown key; did you mean 'backoff'?"),
        ("[defaults]\nstop_time = 1\n" + A, "[defaults] stop_time: unknown key; did you mean 'st"),
        ("prefx = 1\n" + A, "prefx: unknown key; did you mean 'prefix'?"),
        ("zzz = 1\n" + A, f"zzz: unknown key; known are {', '.join(sorted(IOC_KEYS))}"),
        ("cwd = '/'\n" + A, "cwd: unknown key here; move it into [defaults] or [instance.NAME]"),
        (
            A + "port = 1",
            "[instance.A] port: unknown key here; move it to the top of the file, abo",
        ),
        (A + "name = 'X'", "[instance.A] name: unknown key; known are args, at_start, autorestart"),
        (A + "backoff = -1", "[instance.A] backoff: is -1, should be greater than or equal to 0"),
        ("[defaults]\nbackoff = -0.5\n" + A + B, "[defaults] backoff: is -0.5, should be greater"),
        (A + "backoff = nan", "[instance.A] backoff: is nan, should be greater than or equal to 0"),
        (A + "backoff = inf", "[instance.A] backoff: is inf, should be a finite number"),
        (A + "backoff = true", "[instance.A] backoff: is True, should be a number"),
        (A + "start_limit = 1.5", "[instance.A] start_limit: is 1.5, should be a valid integer"),
        (A + "preload = ['a b']", "[instance.A] preload[0]: 'a b' should be the name of a module"),
        (A + "backoff = 100", "[instance.A] backoff: is 100, more than backoff_max = 60; lower it"),
        (A + "backoff_max = 0.5", "[instance.A] backoff: is 1, more than backoff_max = 0.5; lower"),
        (A + "restart = 'yes'", "[instance.A] restart: is 'yes', should be 'on-failure', 'always'"),
        (A + "autorestart = 'x'", "[instance.A] autorestart: is 'x', should be a valid boolean"),
        (A + "env = { N = 1 }", "[instance.A] env.N: is 1, should be a valid string"),
        (A + "env = { 'A=B' = '' }", "[instance.A] env.A=B: 'A=B' cannot be the name of an enviro"),
        (
            A + r"path_map = { 'Instrument' = '/i' }",
            "[instance.A] path_map.Instrument: 'Instrument' should be an absolute path of Windows",
        ),
        (
            A + r"path_map = { 'C:\I\..' = '/i' }",
            r"[instance.A] path_map.C:\I\..: 'C:\I\..' should be an absolute path of Windows",
        ),
        (
            A + r"path_map = { 'C:\I' = '/i', 'c:/i/' = '/j' }",
            r"[instance.A] path_map: 'C:\I' and 'c:/i/' are one directory; keep one of the two",
        ),
        (
            A + "links = { Plot = 'javascript:alert(1)' }",
            "[instance.A] links: Plot: 'javascript:alert(1)' should be an address that begins with",
        ),
        (
            A + "links = { Plot = 'http://user:word@h/' }",
            "[instance.A] links: Plot: 'http://user:word@h/' should be an address that begins with",
        ),
        (
            A + "links = { '' = 'http://h/' }",
            "[instance.A] links: '' should be a name of 1 to 40 characters on one line",
        ),
        (
            A + f"links = {{ Plot = 'http://h/{'a' * 2048}' }}",
            "[instance.A] links: has more than the 2047 bytes that the PV LINKS holds",
        ),
        (A + "path_map = 3", "[instance.A] path_map: is 3, should be a table"),
        (A + "env = 3", "[instance.A] env: is 3, should be a table"),
        (A + "args = '-v'", "[instance.A] args: is '-v', should be a list"),
        (A + "args = ['a', 3]", "[instance.A] args[1]: is 3, should be a valid string"),
        (A + 'args = ["a\\u0000"]', "[instance.A] args[0]: holds a NUL character, which no path,"),
        (A + 'cwd = "/a\\u0000"', "[instance.A] cwd: holds a NUL character, which no path,"),
        ("[instance.A]\nscript = 3", "[instance.A] script: is 3, should be a valid path"),
        ("[instance.A]\nscript = ''", "[instance.A] script: is empty; name a path, or leave the"),
        ("[instance.A]\nscript = '~no-one/a'", "[instance.A] script: ~no-one/a: Could not determ"),
        ("[instance.A]\nscript = '$(NOPE)/a.py'", "[instance.A] script: macro 'NOPE' is not defi"),
        (A + A, "line 3: a second [instance.A]; give each instance a name of its own"),
        ("[instance.no-1]\nscript = '/a'", "[instance.no-1]: instance name 'no-1' should be of A-"),
        ("port = 1\nport = 2\n" + A, "line 2: a key that is there already; keep one of the two"),
        ("port = \n" + A, "line 1: Invalid value"),
        ("prefix = 'a", 'end of document: Expected "\'"'),
        (b"prefix = 1\nname = '\xff'", "line 2: not UTF-8; save the file as UTF-8"),
        ("defaults = []\n" + A, "defaults: is [], should be a table, [defaults]"),
        ("port = 65536\n" + A, "port: is 65536, should be less than or equal to 65535"),
        ("interfaces = []\n" + A, "interfaces: is empty, should have at least one entry"),
        ("interfaces = ['a:1']\n" + A, "interfaces[0]: 'a:1' should be one IPv4 address or host"),
        ("prefix = 'TE NDW:'\n" + A, "prefix: is 'TE NDW:', should hold only what a PV name may:"),
        ("registry = 'mysql://u:secret@h'\n" + A, "registry: should be a database URL that starts"),
        ("state_dir = '$(NOPE)'\n" + A, "state_dir: macro 'NOPE' is not defined; set it in the"),
        (
            f"prefix = '{LONG}PPPPP'\n" + A,
            f"prefix: '{LONG}PPPPPA:SCRIPT:CHANGED' would have 61 ch",
        ),
        (
            f"prefix = '{LONG}PP'\n{A}procserv_pvs = true",
            f"prefix: '{LONG}PPCS:PS:A:AUTORESTART' would have 61 characters, EPICS allows 60; sho",
        ),
    ],
)
def test_a_wrong_file(problems: Problems, toml: str | bytes, expected: str) -> None:
    """Each mistake in a file gives one line that names the file, the key and the remedy."""
    (problem,) = problems(toml)
    assert problem.startswith(f"ioc.toml: {expected}")
    assert "secret" not in problem


@pytest.mark.parametrize("toml", ["instance = 3", "[instance]\nA = 3"])
def test_an_instance_that_is_no_table(problems: Problems, toml: str) -> None:
    """Instances are tables."""
    assert "is 3, should be a table, [instance" in problems(toml)[0]


def test_names_that_differ_in_case(problems: Problems) -> None:
    """Two names may not differ in case only: file systems and people take them for one."""
    assert problems(A + B + "[instance.a]\nscript = '/c'")[0] == (
        "ioc.toml: [instance.a]: the same name as [instance.A] but for its case;"
        " give each instance a name of its own, in upper case"
    )


def test_every_problem_is_told(problems: Problems) -> None:
    """One reading of the file finds everything that is wrong with it."""
    found = problems("""
        port = 0
        [instance.A]
        script = "$(NOPE)"
        backoff = -1
        [instance.B]
        script = "/b.py"
        backof = 1
    """)
    assert [each.split(": ")[1] for each in found] == [
        "[instance.A] script",
        "[instance.A] backoff",
        "[instance.B] backof",
        "port",
    ]


def test_no_file() -> None:
    """A file that cannot be read is named, with the system's reason."""
    with pytest.raises(ConfigError, match=r"^none\.toml: cannot be read: No such file"):
        load(Path("none.toml"), None, None, {}, {})


def test_no_script_at_all(problems: Problems) -> None:
    """When no script is known the three ways to name one are told."""
    (problem,) = problems()
    for way in (
        "BGRSCRPT_01: no script",
        "run SCRIPT",
        "--config FILE",
        "MACROS=",
        "ICPINSTSCRIPT",
    ):
        assert way in problem
    (problem,) = problems("[instance.A]\n")
    assert problem.startswith("ioc.toml: [instance.A]: no script is known")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"MACROS": "{'A': 1}"}, "environment: MACROS: Expecting property name"),
        ({"MACROS": "[1]"}, "environment: MACROS: should be a JSON object of macros"),
        ({"MYPVPREFIX": "a b"}, "environment: MYPVPREFIX: is 'a b', should hold only"),
    ],
)
def test_a_wrong_environment(problems: Problems, environ: dict[str, str], expected: str) -> None:
    """A mistake in the environment names the variable."""
    (problem,) = problems(script="a.py", environ=environ)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"backoff": -1, "script": "a"}, "command line: --backoff: is -1, should be greater"),
        ({"stop_timeout": "x", "script": "a"}, "command line: --stop-timeout: is 'x', should be"),
        ({"name": "x", "script": "a"}, "x: instance name 'x' should be of A-Z"),
        ({"python": "", "script": "a"}, "command line: --python: is empty"),
    ],
)
def test_a_wrong_command_line(problems: Problems, arguments: dict[str, Any], expected: str) -> None:
    """A mistake on the command line names the option."""
    (problem,) = problems(**arguments)
    assert problem.startswith(expected)


def test_which_instance(problems: Problems) -> None:
    """With several instances an option of one needs a name, and that must be among them."""
    assert problems(A + B, script="c.py", backoff=1) == [
        "command line: --backoff, c.py: more than one instance: add --name, one of A, B"
    ]
    assert problems(A + B, name="C") == [
        "command line: --name C: ioc.toml: has no [instance.C], only A, B"
    ]


def test_a_stop_signal_that_this_system_lacks(
    problems: Problems, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM is refused where it cannot be sent, with what can be set instead."""
    monkeypatch.setattr("bgrscrpt_ioc.host.system.STOP_SIGNALS", ("SIGINT",), raising=False)
    told = "is SIGTERM, which this system does not have; set it to SIGINT"
    assert problems(f'{A}stop_signal = "SIGTERM"') == [
        f"ioc.toml: [instance.A] stop_signal: {told}"
    ]
