"""An IOC that is stopped for a while, as by a suspended host, does no harm to its scripts."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from benchmarks.rig.ca import Client
from benchmarks.rig.iocs import Ioc, until

P = "TE:BGRSCRPT_01:"
BEATS = "import bgrscrpt, time\nwhile True:\n    bgrscrpt.alive()\n    time.sleep(0.02)\n"
TIMEOUT = 4.0  # s: what a busy machine may keep a script waiting is less
CONFIG = """
prefix = "TE:"
[instance.BGRSCRPT_01]
script = "{script}"
heartbeat_timeout = {timeout}
restart_when_hung = true
"""


def test_a_paused_ioc_declares_no_script_hung(tmp_path: Path) -> None:
    """After SIGSTOP for longer than `heartbeat_timeout`, twice, the run goes on without alarm."""
    (tmp_path / "script.py").write_text(BEATS)
    config = tmp_path / "ioc.toml"
    config.write_text(CONFIG.format(script=tmp_path / "script.py", timeout=TIMEOUT))
    with Ioc(tmp_path, "--config", config) as ioc, Client(ioc.ready().port) as client:
        until(lambda: client.get(P + "HEARTBEAT") > 2)
        pid = client.get(P + "PID")
        for _ in range(2):
            ioc.process.send_signal(signal.SIGSTOP)
            time.sleep(TIMEOUT + 0.5)  # the pause, which nobody can hurry
            ioc.process.send_signal(signal.SIGCONT)
            beats = client.get(P + "HEARTBEAT")
            until(lambda beats=beats: client.get(P + "HEARTBEAT") > beats + 3)
        assert client.get(P + "PID") == pid
        assert client.get(P + "STARTS") == 1
        assert "heartbeat" not in ioc.drain()
