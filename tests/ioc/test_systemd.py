"""The IOC as a service of systemd: its notices to systemd, and the unit's privileges."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from benchmarks.rig.ca import DEADLINE, ECA_NORMAL, STRING, Client
from benchmarks.rig.iocs import COMMAND, FOREVER, Ioc, until
from bgrscrpt_ioc.records.table import RECORDS

NOTIFIED = "import os\nprint('it sees', os.environ.get('NOTIFY_SOCKET'), flush=True)\n"
TO_JOURNAL = 'export JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2); exec "$@"'
# What NoNewPrivileges= and, for root, CapabilityBoundingSet= do.
UNPRIVILEGED = ["setpriv", "--no-new-privs", "--inh-caps", "-all"]


def test_systemd_hears_that_it_serves_lives_and_ends(tmp_path: Path) -> None:
    """The IOC tells systemd READY, signs of life and STOPPING; journal lines have priorities."""
    script = tmp_path / "script.py"
    script.write_text(NOTIFIED + FOREVER)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
        arguments = ["run", str(script), "--prefix", "TE:", "--state-dir", str(tmp_path / "state")]
        command = ["bash", "-c", TO_JOURNAL, "bash", *COMMAND, *arguments]
        with Ioc(tmp_path, environ=environ, command=command) as ioc:
            ready = systemd.recv(1000).decode()
            with Client(ioc.port) as client:
                client.connect("TE:BGRSCRPT_01:STATUS")
            served = f"serving TE:BGRSCRPT_01 ({len(RECORDS)} PVs) on 127.0.0.1:{ioc.port}"
            assert ready == f"READY=1\nSTATUS={served}"
            assert systemd.recv(1000) == systemd.recv(1000) == b"WATCHDOG=1"
            ioc.ready().wait_for("IOC started\n")
            assert "it sees None\n" in ioc.output
            assert ioc.end() == 0
            assert "<6>bgrscrpt-ioc INFO: ending: stopping all scripts\n" in ioc.output
        until(lambda: systemd.recv(1000).startswith(b"STOPPING=1\n"))


def test_it_needs_no_privileges(tmp_path: Path) -> None:
    """Without any capability, the IOC starts, restarts and stops a script."""
    script = tmp_path / "script.py"
    script.write_text(FOREVER)
    reduced = [*UNPRIVILEGED, "--bounding-set", "-all"] if os.geteuid() == 0 else UNPRIVILEGED
    arguments = ["run", script, "--prefix", "TE:", "--state-dir", tmp_path / "state"]
    with Ioc(tmp_path, command=[*reduced, *COMMAND, *arguments]) as ioc:
        ioc.ready().wait_for("IOC started\n")
        with Client(ioc.port) as client:
            assert client.put_callback("TE:BGRSCRPT_01:RESTART") == ECA_NORMAL
            assert client.get("TE:BGRSCRPT_01:STATUS", STRING) == "Running"
        assert ioc.end() == 0
        assert "WARNING" not in ioc.output
