"""A run's processes on Windows: the job that holds them, their ends, messages, stacks and puts.

tests/process/test_everywhere.py has what is the same on every system.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.lifecycle.events import Sign
from bgrscrpt_ioc.process.messages import Alive, Said
from tests.process.scripts import DAEMON, DEADLINE, Heard, Runner, alive


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


async def test_terminate_ends_what_does_not_listen(script: Path, runner: Runner) -> None:
    """TERMINATE kills, because Windows has nothing between asking and killing."""
    script.write_text(
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('up', flush=True)\ntime.sleep(1000)\n"
    )
    process, heard = runner.launch(script)
    await heard.until_printed(b"up\n")
    process.send(Sign.INTERRUPT)
    process.send(Sign.TERMINATE)
    await heard.until("is_cleared")
    assert (heard.code, heard.reason) == (-9, "SIGKILL (did not stop)")


async def test_no_way_out_of_the_job(script: Path, runner: Runner) -> None:
    """Windows refuses to start a child that is to leave the job."""
    script.write_text(
        "import subprocess, sys\ntry:\n    subprocess.Popen([sys.executable, '-c', ''],"
        " creationflags=subprocess.CREATE_BREAKAWAY_FROM_JOB)\n"
        "except OSError as error:\n    print('refused', error.winerror)\n"
    )
    heard = await runner.run(script)
    assert heard.text == b"refused 5\n"


async def test_a_crash_is_told_by_the_name_of_its_status(script: Path, runner: Runner) -> None:
    """A crash has the name of its NTSTATUS, a signed exit code, and faulthandler's text."""
    script.write_text("import faulthandler\nfaulthandler._read_null()\n")
    heard = await runner.run(script)
    assert (heard.code, heard.reason) == (0xC0000005 - (1 << 32), "ACCESS_VIOLATION")
    assert b"Windows fatal exception: access violation\n" in heard.text
    assert b'script.py", line 2 in <module>' in heard.text


async def test_children_of_multiprocessing_speak_too(script: Path, runner: Runner) -> None:
    """Children of a multiprocessing pool send messages to the IOC, and the pool ends."""
    script.write_text(
        "import bgrscrpt, multiprocessing\n"
        "def work(n):\n    bgrscrpt.message(f'child {n}')\n    return n\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.Pool(2) as pool:\n        print(pool.map(work, [1, 2]))\n"
    )
    heard = await runner.run(script)
    assert heard.text == b"[1, 2]\n"
    assert {each for each in heard.messages if isinstance(each, Said)} == {
        Said("child 1"),
        Said("child 2"),
    }


async def test_a_flood_of_messages_holds_up_nobody(script: Path, runner: Runner) -> None:
    """Messages that find no room are dropped: the script goes on, and later messages arrive."""
    script.write_text(
        "import bgrscrpt, time\nbegun = time.monotonic()\n"
        "text = bgrscrpt._json(kind='message', text='x' * 900)\n"
        "for n in range(3000):\n    bgrscrpt._send(text)\n"
        "print(time.monotonic() - begun < 20)\n"
        "bgrscrpt._send(bgrscrpt._json(kind='alive', count=7), patience=10)\n"
    )
    heard = await runner.run(script)
    assert heard.text == b"True\n"
    assert heard.messages[-1] == Alive(7)


def test_no_process_survives_who_launched_it(tmp_path: Path) -> None:
    """If the process that holds the job is killed, all of the run ends, detached children too."""
    owner = tmp_path / "owner.py"
    owner.write_text(
        "import asyncio, os, sys\nfrom pathlib import Path\n"
        "from tests.process.scripts import Runner\n"
        "async def main():\n    runner = Runner()\n"
        "    process, heard = runner.launch(Path(sys.argv[1]))\n"
        "    await heard.until_printed(b'\\n')\n"
        "    print(process.pid, int(heard.text.split()[1]), flush=True)\n    os._exit(1)\n"
        "asyncio.run(main())\n"
    )
    script = tmp_path / "script.py"
    script.write_text(DAEMON + "time.sleep(1000)\n")
    told = subprocess.run(
        [sys.executable, str(owner), str(script)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=DEADLINE,
        check=False,
    )
    pids = [int(each) for each in told.stdout.split()]
    assert len(pids) == 2
    end = time.monotonic() + DEADLINE
    while any(map(alive, pids)):  # a job ends what is in it without telling anybody
        assert time.monotonic() < end
        time.sleep(0.02)


async def test_stacks_of_a_sleeping_script(script: Path, runner: Runner) -> None:
    """A sleeping script answers a request for the stacks of its threads."""
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    process, heard = runner.launch(script)
    await heard.until_printed(b"up\n")
    (dump,) = await asyncio.to_thread(system.take_stacks, process.script_pid, [], DEADLINE)
    assert b'script.py", line 3 in <module>' in dump.text
    assert dump.problem == ""


async def test_a_put_to_a_pv_of_the_script(script: Path, runner: Runner) -> None:
    """A put that is longer than the pipe's buffer reaches the script, after the kept values."""
    script.write_text(
        "import bgrscrpt, time\n"
        "pv = bgrscrpt.pv('TEXT', [0], writable=True, keep=True, size=100000)\n"
        "print('made', len(pv.value), flush=True)\n"
        "pv.wait(60)\nprint('put', len(pv.value), sum(pv.value), flush=True)\n"
    )
    process, heard = runner.launch(script, mode="standby")
    waiting = heard
    heard = Heard()
    process.go(heard)
    process.tell(json.dumps({"kind": "kept", "values": {"TEXT": [1, 2]}}).encode() + b"\n")
    await heard.until_printed(b"made 2\n")
    put = {"kind": "put", "number": 1, "pv": "TEXT", "value": [1] * 90_000 + [123456789] * 9_000}
    data = json.dumps(put).encode() + b"\n"
    assert process.tell(data)
    await heard.until_printed(b"put 99000 ")
    await heard.until("is_cleared")
    waiting.is_cleared = True
