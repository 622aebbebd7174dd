"""Nobody else may change what the IOC runs, and nothing of the IOC is open to others."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.rig.ca import DEADLINE, ECA_NORMAL, ECA_PUTFAIL, Client, ca_environ, free_port
from benchmarks.rig.iocs import COMMAND, FOREVER, Ioc, until
from bgrscrpt_ioc.host.permissions import open_to_others
from bgrscrpt_ioc.host.posix.locks import claim_name, claimed_by
from bgrscrpt_ioc.host.posix.processes import ids_of
from bgrscrpt_ioc.lifecycle.events import Severity, State
from tests.faults.benches import PRINTER, Bench, P, bench

NOBODY = 65534
REGISTERING = """
import os
from server_common.helpers import register_ioc_start

register_ioc_start("BGRSCRPT_01")
mask = os.umask(0)
os.umask(mask)
print(f"umask {mask:o}", flush=True)
"""


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


# --- what others may change -----------------------------------------------------------------------


def test_who_may_change_a_file(tmp_path: Path) -> None:
    """What anybody may change is found: a file, the target of its link, their directories."""
    real, links = tmp_path / "real", tmp_path / "with space"
    real.mkdir()
    links.mkdir()
    script, link = real / "script.py", links / "script.py"
    script.touch(0o644)
    link.symlink_to(script)
    for path in (script, link, tmp_path / "none"):
        assert open_to_others(path) == ""
    script.chmod(0o646)
    assert open_to_others(script) == f"anybody may change {script}: chmod o-w {script}"
    assert open_to_others(link) == open_to_others(script)
    script.chmod(0o664)  # a group is no anybody
    assert open_to_others(link) == ""
    real.chmod(0o757)
    assert open_to_others(link) == f"anybody may change {real}: chmod o-w {real}"
    links.chmod(0o757)
    assert open_to_others(link).endswith(f": chmod o-w '{links}' {real}")
    for directory in (real, links):
        directory.chmod(0o1777)
    assert open_to_others(link) == ""


def test_a_script_that_anybody_may_change_is_an_alarm(it: Bench) -> None:
    """SCRIPT is in MINOR alarm and SCRIPT:MSG has the remedy; after it both are right again."""
    it.script.touch()
    it.script.chmod(0o666)
    client = it.run()
    until(lambda: it.severity("SCRIPT") == Severity.MINOR)
    remedy = f"anybody may change {it.script}: chmod o-w {it.script}"
    assert client.text(P + "SCRIPT:MSG") == remedy
    assert client.text(P + "SCRIPT") == str(it.script)
    assert it.said(f"BGRSCRPT_01: {remedy}") == 1
    it.script.chmod(0o644)
    until(lambda: it.severity("SCRIPT") == Severity.NO_ALARM)
    assert client.text(P + "SCRIPT:MSG") == ""
    it.directory.chmod(0o757)
    until(lambda: f"anybody may change {it.directory}:" in client.text(P + "SCRIPT:MSG"))
    it.directory.chmod(0o755)
    assert client.get(P + "STATUS") == State.RUNNING


def test_strict_runs_no_script_that_anybody_may_change(it: Bench) -> None:
    """START fails with the remedy, RESTART leaves the old run alone, and CHECK fails."""
    it.script.touch()
    it.script.chmod(0o666)
    client = it.start(FOREVER, "--strict", "--at-start", "stop", "--restart", "never")
    refusal = f"refused, because strict = true: anybody may change {it.script}: chmod o-w"
    for command in ("CHECK", "START"):
        assert client.put_callback(P + command) == ECA_PUTFAIL
        assert refusal in client.text(P + "STATUS:MSG")
    assert client.get(P + "STATUS") == State.FAILED
    it.script.chmod(0o644)
    assert client.put_callback(P + "START") == ECA_NORMAL
    pid = client.get(P + "PID")
    it.script.chmod(0o666)
    assert client.put_callback(P + "RESTART") == ECA_PUTFAIL
    assert refusal in client.text(P + "STATUS:MSG")
    assert client.get(P + "PID") == pid


def configured(directory: Path, mode: int, more: str = "") -> Path:
    """Make a configuration of two instances."""
    config = directory / "ioc.toml"
    config.write_text(
        f'prefix = "TE:"\n{more}\nstate_dir = "{directory}/state"\n'
        '[defaults]\nscript = "script.py"\nat_start = "stop"\n'
        "[instance.BGRSCRPT_01]\n[instance.BGRSCRPT_02]\n"
    )
    (directory / "script.py").write_text(FOREVER)
    config.chmod(mode)
    return config


def test_a_configuration_that_anybody_may_change_is_an_alarm(tmp_path: Path) -> None:
    """Every instance reports it, while the IOC lives that was started from it."""
    config = configured(tmp_path, 0o646)
    with ExitStack() as stack:
        ioc = stack.enter_context(Ioc(tmp_path, "--config", config)).ready()
        client = stack.enter_context(Client(ioc.port))
        remedy = f"anybody may change {config}: chmod o-w {config}, and start the IOC again"
        for name in ("TE:BGRSCRPT_01:", "TE:BGRSCRPT_02:"):
            until(lambda name=name: client.text(name + "SCRIPT:MSG") == remedy)
        assert ioc.wait_for(f"BGRSCRPT_02: {remedy}")
        config.chmod(0o644)
        assert client.text("TE:BGRSCRPT_01:SCRIPT:MSG") == remedy


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize("name", ["ioc.toml", "rules.acf"])
def test_strict_refuses_a_configuration_that_anybody_may_change(
    tmp_path: Path, command: str, name: str
) -> None:
    """The IOC does not start, and says what to do; so it is with the access security file."""
    configured(tmp_path, 0o644, f'strict = true\nasg = "{tmp_path}/rules.acf"')
    (tmp_path / "rules.acf").write_text("ASG(DEFAULT) { RULE(1, WRITE) }")
    open_one = tmp_path / name
    open_one.chmod(0o646)
    done = subprocess.run(
        [*COMMAND, command, "--config", tmp_path / "ioc.toml"],
        env=ca_environ(free_port()),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 2
    refusal = f"refused, because strict = true: anybody may change {open_one}: chmod o-w"
    assert f"{open_one}: {refusal}" in done.stderr


# --- what is ours ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_what_we_make_is_closed_to_others(it: Bench, mask: int) -> None:
    """Under any umask files are 0640 and directories 0750 at most; the script has its umask."""
    before = os.umask(mask)
    try:
        client = it.start(REGISTERING + PRINTER)
    finally:
        os.umask(before)
    client.put_callback(P + "AUTORESTART", 0)
    state = it.directory / "state"
    made = [
        "TE.BGRSCRPT_01.history",
        "TE.BGRSCRPT_01.json",
        "TE.BGRSCRPT_01.lock",
        "TE.BGRSCRPT_01.texts",
        "iocdb.sqlite",
        "registry/TE%3A+BGRSCRPT_01+BGRSCRPT_01.json",
    ]
    until(lambda: all((state / name).exists() for name in made))
    until(lambda: client.get(P + "REGISTERED") == 1)
    until(lambda: client.text(P + "LOG") == f"umask {mask:o}\nbegun")
    found = [state, it.logs, *state.rglob("*"), *it.logs.iterdir()]
    found = [each for each in found if each.suffix != ".tmp"]  # which come and go
    assert len(found) >= 8
    for path in found:
        limit = 0o750 if path.is_dir() else 0o640
        assert stat.S_IMODE(path.stat().st_mode) & ~limit == 0, path


AS_NOBODY = """
import errno, json, os, socket, sys
arguments = json.loads(sys.argv[1])
os.setgroups([])
os.setresgid({uid}, {uid}, {uid})
os.setresuid({uid}, {uid}, {uid})

def outcome(call, *given):
    try:
        call(*given)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
"""


def as_nobody(code: str, **arguments: Any) -> subprocess.Popen[str]:
    """Run Python as another user, who must find nothing open."""
    if os.geteuid() != 0:
        pytest.skip("ONLY ROOT CAN BE ANOTHER USER: what others may do is NOT tested")
    return subprocess.Popen(
        [sys.executable, "-c", AS_NOBODY.format(uid=NOBODY) + code, json.dumps(arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


REACH = """
found = {}
for who, pid in arguments["pids"].items():
    found[who] = [
        outcome(os.kill, pid, 0),
        *(outcome(open, f"/proc/{pid}/{name}", "rb+", 0) for name in ("fd/0", "fd/1", "mem")),
        outcome(open, f"/proc/{pid}/environ", "rb"),
    ]
for path in arguments["paths"]:
    found[path] = [outcome(os.open, path, os.O_RDONLY), outcome(os.open, path, os.O_WRONLY)]
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    other = socket.socket(socket.AF_UNIX, kind)
    found[f"socket {kind:d}"] = outcome(other.connect, arguments["name"])
print(json.dumps(found))
"""


def test_another_user_reaches_nothing() -> None:
    """No signal, descriptor, memory, file or socket of IOC, guardian or script is in reach."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.chmod(0o755)  # so that it is ours that keeps others out
        it = stack.enter_context(bench(directory))
        client = it.run()
        client.put_callback(P + "AUTORESTART", 0)
        state = directory / "state" / "TE.BGRSCRPT_01.json"
        until(state.exists)
        children = psutil.Process(it.ioc.process.pid).children()
        pids = {f"{at} {child.name()}": child.pid for at, child in enumerate(children)}
        assert client.get(P + "PID") in pids.values()
        assert any("guardian_program.py" in " ".join(child.cmdline()) for child in children)
        paths = [state, state.with_suffix(".lock"), state.parent, it.logs]
        paths.append(Path(client.text(P + "LOG:FILE")))
        with as_nobody(
            REACH,
            pids={"ioc": it.ioc.process.pid, **pids},
            paths=[str(path) for path in paths],
            name=f"\0bgrscrpt_ioc {it.ioc.port}/TE:BGRSCRPT_01",
        ) as other:
            found = json.loads(other.communicate(timeout=DEADLINE)[0])
    for who in ("ioc", *pids):
        assert found.pop(who) == ["EPERM", "EACCES", "EACCES", "EACCES", "EACCES"], who
    sockets = {name: found.pop(name) for name in list(found) if name.startswith("socket")}
    assert set(sockets.values()) == {"ECONNREFUSED"}
    assert len(sockets) == 3
    assert {outcome for both in found.values() for outcome in both} <= {"EACCES", "EISDIR"}
    assert all(both[0] == "EACCES" for both in found.values())


ASK = """
connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
connection.connect(arguments["name"])
try:
    connection.sendall(b"reload\\n")
except BrokenPipeError:
    pass
answer = connection.makefile()
print(answer.readline() + answer.readline(), end="", flush=True)
"""


def test_another_user_has_nothing_reloaded(tmp_path: Path) -> None:
    """Root and the IOC's own user are heard; who else asks is refused."""
    with bench(tmp_path) as it:
        it.run()
        (address,) = ids_of(it.ioc.process.pid)
        name = f"\0bgrscrpt_ioc-control {address}"
        with as_nobody(ASK, name=name) as other:
            answer = other.communicate(timeout=DEADLINE)[0]
        user = os.geteuid()
        assert answer == f"- only root and the IOC's own user, {user}, may ask\n= 1\n"


SQUAT = """
claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
claim.bind(arguments["name"])
print("bound", flush=True)
sys.stdin.read()
"""


def test_a_name_that_another_user_has_taken_is_said(tmp_path: Path) -> None:
    """The IOC does not start, names the process and its user, and starts when that process ends."""
    (tmp_path / "script.py").write_text(FOREVER)
    port = free_port()
    name = f"\0bgrscrpt_ioc {port}/TE:BGRSCRPT_01"
    arguments = (tmp_path / "script.py", "--prefix", "TE:")
    with as_nobody(SQUAT, name=name) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "bound\n"
        with Ioc(tmp_path, *arguments, port=port) as ioc:
            assert ioc.exit_code() == 1
        assert (
            f"is already served on this host by the process {other.pid} of uid {NOBODY}, an IOC"
            in ioc.output
        )
        other.send_signal(signal.SIGKILL)
    with Ioc(tmp_path, *arguments, port=port) as ioc:
        ioc.ready()


LOOK = """
from bgrscrpt_ioc.host.posix.locks import claimed_by
"""


def test_a_name_whose_process_may_not_be_looked_into() -> None:
    """To another user, who has claimed a name is a process that is not named."""
    name = f"{free_port()}/TE:X"
    claim = claim_name(name)
    assert claim is not None
    assert claim_name(name) is None
    assert claimed_by(name) == (os.getpid(), os.geteuid())
    code = AS_NOBODY.format(uid=NOBODY).replace("import errno", LOOK + "import errno")
    if os.geteuid() != 0:
        pytest.skip("ONLY ROOT CAN BE ANOTHER USER: what others may do is NOT tested")
    done = subprocess.run(
        [sys.executable, "-c", code + "print(claimed_by(arguments))", json.dumps(name)],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.stdout == "None\n", done.stderr
    claim.close()
    assert claimed_by(name) is None
