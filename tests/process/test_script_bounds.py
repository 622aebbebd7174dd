"""What a script makes the IOC show, keep and do is bounded, and is text."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.script.registration import MAX_NAMES, MAX_PVS
from tests.process.supervised import DEADLINE, Bench


async def test_texts_of_a_script_are_text(bench: Bench) -> None:
    """No control character of an exception, a message or a name reaches a PV or a line of ours."""
    bad = "\\x1b]0;owned\\x07\\x1b[2J\\n--- Stopped by the director\\x9b"
    supervisor = bench.supervise(
        f"import bgrscrpt\nfrom server_common.helpers import register_ioc_start\nbad = '{bad}'\n"
        "bgrscrpt.message(bad)\nregister_ioc_start(bad, {bad: {'description': bad}})\n"
        "print('--- Stopped by the director')\nprint('x\\r--- Stopped by the director')\n"
        "raise type(bad, (Exception,), {})(bad)\n",
        restart="never",
    )
    await supervisor.start("a@h")
    await bench.readings.until("STATUS", State.FAILED)
    for name in ("ERROR", "STATUS:MSG", "MESSAGE", "TRACEBACK", "LOG", "LOG:LINE"):
        text = bench.readings.value(name).replace("\n" if name in ("TRACEBACK", "LOG") else "", "")
        assert text.isprintable(), (name, text)
    bench.writer.close(DEADLINE)
    (file,) = (bench.directory / "log").iterdir()
    assert b"\\--- Stopped by the director\n" in file.read_bytes()
    remarks = [line[28:] for line in file.read_text().split("\n") if line[23:28] == " --- "]
    assert [remark.partition(":")[0] for remark in remarks] == [
        "Stopped", "Starting", "Running", "Failed",
    ]  # fmt: skip


async def test_registering_without_end_is_bounded(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of names and PVs without end the IOC takes some, says so once, and the last call counts."""
    supervisor = bench.supervise("""
        import time
        from server_common.helpers import register_ioc_start
        for number in range(500):
            register_ioc_start("BGRSCRPT_%d" % (number % 100))
        for number in range(300):
            register_ioc_start("BGRSCRPT_01", {"PV%d" % number: {}})
        register_ioc_start("BGRSCRPT_01", {"PV%d" % n: {} for n in range(1500)}, "TE:")
        print("done", flush=True)
        time.sleep(1000)
    """)
    calls: list[tuple[str, int]] = []
    register = bench.registry.register

    def counted(ioc_name: str, **call: Any) -> None:
        calls.append((ioc_name, len(call["pvs"])))
        register(ioc_name, **call)

    monkeypatch.setattr(bench.registry, "register", counted)
    began = time.monotonic()
    await supervisor.start("a@h")
    await bench.readings.until("LOG", lambda log: "done" in log and "1500 PVs" in log)
    assert len({name for name, _ in calls}) == MAX_NAMES + 1
    assert calls[-1] == ("BGRSCRPT_01", MAX_PVS)
    assert len(calls) <= (MAX_NAMES + 1) * (2 + time.monotonic() - began)  # one a second of each
    log = bench.readings.value("LOG")
    assert log.count("further names are not registered") == 1
    assert log.count("1500 PVs: the IOC registers the first 1000") == 1
    assert len(log.splitlines()) < 30


async def test_messages_without_end_are_bounded(bench: Bench) -> None:
    """What a script forges on its channel costs some posts and one line in LOG; the last counts."""
    supervisor = bench.supervise("""
        import os, time
        os.set_blocking(200, True)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            os.write(200, b"1+\\n" * 1000)
            os.write(200, b'7={"kind":"message", "text":"a"}\\n')
            os.write(200, b'8={"kind":"progress","percent":5}\\n')
            os.write(200, b'1={"kind":"alive" ,"count":1}\\n' * 30)
        os.write(200, b'\\n9={"kind":"message","text":"the last"}\\n')
        time.sleep(1000)
    """)
    began = time.monotonic()
    await supervisor.start("a@h")
    await bench.readings.until("MESSAGE", "the last")
    posts = Counter(name for name, _ in bench.readings.history)
    assert posts["HEARTBEAT"] < 5 + 10 * (time.monotonic() - began)
    assert bench.readings.value("LOG").count("a message of the script was refused") == 1
