"""Runs files that `deploy` makes: ISIS's boot directory, the probes, and an IOC as process 1."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from benchmarks.rig.ca import DEADLINE, ECA_NORMAL, Client, ca_environ, free_port
from benchmarks.rig.iocs import COMMAND, FOREVER, Ioc, until
from bgrscrpt_ioc.deploy import container, ibex, kubernetes
from bgrscrpt_ioc.deploy.site import Site, site_of

P = "TE:BGRSCRPT_01:"
POLITE = f"import atexit\natexit.register(print, 'atexit was run', flush=True)\n{FOREVER}"

# --- ISIS's boot directories ----------------------------------------------------------------------


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """The EPICS directory of an instrument, with spaces in its path, and two scripts of it."""
    top, scripts = tmp_path / "EPICS tree", tmp_path / "my scripts"
    scripts.mkdir()
    for name, text in ibex.files(2, COMMAND, ibex.WINDOWS_PYTHON).items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    variables = {
        "MYPVPREFIX": "TE:",
        "ICPINSTSCRIPTROOT": str(scripts),
        "ICPVARDIR": str(tmp_path / "var"),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    (top / "config_env.sh").write_text("\n".join(lines))
    for name in ("background_script2.py", "other script.py"):
        (scripts / name).write_text(f"import os\nprint('at', os.getcwd())\n{FOREVER}")
    return top


@pytest.mark.parametrize("macros", [None, {"SCRIPT_PATH": "$(ICPINSTSCRIPTROOT)/other script.py"}])
def test_run_ioc_starts_the_ioc(macros: dict[str, str] | None, boot: Path) -> None:
    """The directory of _02 starts its IOC and script, with the macros of icpconfigGetMacros."""
    directory = boot / ibex.BOOT / "iocBGRSCRPT-IOC-02"
    script = "background_script2.py"
    if macros is not None:
        # A double: ISIS's own program needs ISIS's EPICS tree.
        double = boot / "support/icpconfig/master/bin/linux-x86_64/icpconfigGetMacros"
        double.parent.mkdir(parents=True)
        told = json.dumps(macros)
        double.write_text(f"#!/bin/sh\n[ \"$1\" = BGRSCRPT_02 ] && echo '{told}'\n")
        double.chmod(0o755)
        script = "other script.py"
    command = ["/bin/sh", directory / "runIOC.sh"]
    environ = {"EPICS_KIT_ROOT": str(boot), "EPICS_HOST_ARCH": "linux-x86_64"}
    with Ioc(boot.parent, command=command, environ=environ) as ioc:
        ioc.ready().wait_for("IOC started")
        assert "serving TE:BGRSCRPT_02 " in ioc.output
        with Client(ioc.port) as client:
            assert client.text("TE:BGRSCRPT_02:SCRIPT").endswith(f"/my scripts/{script}")
            assert f"at {directory}" in client.text("TE:BGRSCRPT_02:LOG")
            assert client.put_callback("TE:BGRSCRPT_02:RESTART") == ECA_NORMAL
        assert ioc.end() == 0


# --- probes ---------------------------------------------------------------------------------------


def here(words: list[str], settings: Path) -> list[str]:
    """Return a command line of a container with the paths of this test."""
    return [each.replace(f"{container.SETTINGS}/{settings.name}", str(settings)) for each in words]


def site(settings: Path) -> Site:
    """Return the site of these settings."""
    return site_of({}, COMMAND, settings, prefix="TE:", user="bgrscrpt")


def probes(settings: Path) -> dict[str, list[str]]:
    """Return the probes of the manifest and of the Containerfile."""
    (manifest,) = yaml.safe_load_all(kubernetes.stateful_set(site(settings), "x"))
    (ioc,) = manifest["spec"]["template"]["spec"]["containers"]
    found = {key: ioc[f"{key}Probe"] for key in ("startup", "readiness", "liveness")}
    commands = {key: here(each["exec"]["command"], settings) for key, each in found.items()}
    return commands | {"health": instruction("HEALTHCHECK", settings)}


def instruction(name: str, settings: Path) -> list[str]:
    """Return the words of an instruction of the Containerfile."""
    text = container.containerfile(site(settings), "x").replace("\\\n", "")
    (found,) = re.findall(rf"^{name} [^\[]*(\[.*\])$", text, re.MULTILINE)
    return here(json.loads(found), settings)


def asked(settings: Path, port: int) -> dict[str, bool]:
    """Return whether each probe succeeds within its timeout."""
    environ = ca_environ(port) | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = {
        key: subprocess.Popen(command, env=environ, stdout=subprocess.PIPE)
        for key, command in probes(settings).items()
    }
    return {
        key: not (process.communicate(timeout=DEADLINE), process.returncode)[1]
        for key, process in started.items()
    }


ALL_WELL = dict.fromkeys(("startup", "readiness", "liveness", "health"), True)


def test_probes_tell_the_ioc_from_its_scripts(tmp_path: Path) -> None:
    """Without the IOC all probes fail; a failed script or bad settings fail only readiness."""
    settings, script = tmp_path / "my site.toml", tmp_path / "script.py"
    script.write_text(FOREVER)
    settings.write_text(
        'prefix = "TE:"\n[instance.BGRSCRPT_01]\nscript = "script.py"\nrestart = "never"\n'
    )
    port = free_port()
    begin = time.monotonic()
    assert asked(settings, port) == dict.fromkeys(ALL_WELL, False)
    print(f"four probes of an IOC that is not there: {time.monotonic() - begin:.1f} s")
    with Ioc(tmp_path, "--config", settings, port=port) as ioc:
        ioc.ready().wait_for("IOC started")
        begin = time.monotonic()
        assert asked(settings, port) == ALL_WELL
        print(f"four probes of an IOC: {time.monotonic() - begin:.1f} s")
        script.write_text("1 / 0\n")
        with Client(port) as client:
            client.put_callback(f"{P}RESTART")
            until(lambda: client.get(f"{P}STATUS") == 6)
        assert asked(settings, port) == ALL_WELL | {"readiness": False}
        settings.write_text("prefix = \n")  # as a Secret is edited under a running IOC
        assert asked(settings, port) == ALL_WELL | {"readiness": False}


# --- as process 1 ---------------------------------------------------------------------------------

# No privilege, and nothing but the state can be written, as in the manifest.
BARE = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro /
shift
exec setpriv --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
"""


@pytest.fixture
def contained(tmp_path: Path) -> Iterator[Ioc]:
    """The Containerfile's entry point as process 1 of namespaces of its own."""
    settings, state = tmp_path / "site.toml", tmp_path / "state"
    (tmp_path / "script.py").write_text(POLITE)
    settings.write_text('prefix = "TE:"\n[instance.BGRSCRPT_01]\nscript = "script.py"\n')
    state.mkdir()
    apart = ["unshare", "--pid", "--mount", "--mount-proc", "--fork"]
    bare = ["sh", "-c", BARE, "sh", str(state)]
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("unshare and setpriv are not installed: sudo apt-get install util-linux")
    if subprocess.run([*apart, *bare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make namespaces: run the test as root")
    entry, serve = instruction("ENTRYPOINT", settings), instruction("CMD", settings)
    assert entry == [container.PROGRAM]
    serve = [str(state) if each == container.STATE else each for each in serve]
    with Ioc(tmp_path, command=[*apart, *bare, *COMMAND, *serve]) as ioc:
        yield ioc.ready()
        if ioc.process.poll() is None:  # unshare hands no signal on
            first_process(ioc).terminate()
            assert ioc.exit_code() == 0


def first_process(ioc: Ioc) -> psutil.Process:
    """Return the pid of the namespace's process 1, seen from outside."""
    (first,) = psutil.Process(ioc.process.pid).children()
    status = Path(f"/proc/{first.pid}/status").read_text()
    (numbers,) = re.findall(r"^NSpid:\s+(.*)$", status, re.MULTILINE)
    assert numbers.split()[-1] == "1"
    return first


def test_process_1_takes_signals(contained: Ioc) -> None:
    """As process 1, the IOC ends on SIGTERM with exit code 0, after its scripts."""
    contained.wait_for("IOC started")
    assert "Traceback" not in contained.output
    first_process(contained).send_signal(signal.SIGTERM)
    assert contained.exit_code() == 0
    assert "atexit was run" in contained.output


def test_process_1_reaps_what_others_leave(contained: Ioc) -> None:
    """As process 1, the IOC reaps orphans of other processes, such as probes."""
    contained.wait_for("IOC started")
    first = first_process(contained)
    inside = ["nsenter", "--target", str(first.pid), "--pid", "--mount"]
    subprocess.run([*inside, "sh", "-c", "sleep 1000 >&- 2>&- &"], check=True)
    (orphan,) = until(lambda: [each for each in first.children() if each.name() == "sleep"])
    orphan.kill()
    until(lambda: not Path(f"/proc/{orphan.pid}").exists())


def test_process_1_answers_the_health_check(contained: Ioc, tmp_path: Path) -> None:
    """The health check, run within the container, finds the IOC."""
    contained.wait_for("IOC started")
    command = instruction("HEALTHCHECK", tmp_path / "site.toml")
    inside = ["nsenter", "--target", str(first_process(contained).pid), "--pid", "--mount"]
    environ = ca_environ(contained.port)
    environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run([*inside, *command], env=environ, timeout=DEADLINE, check=True)
