"""`bgrscrpt.pv` in the script's process, with every Python that scripts may have, and by hand."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrscrpt_ioc.child import bgrscrpt
from bgrscrpt_ioc.lifecycle.events import Sign
from bgrscrpt_ioc.process.frames import MessageReader
from bgrscrpt_ioc.process.messages import Complained, PutEnded, PvMade, PvSet, Refused
from bgrscrpt_ioc.process.order import BOOTSTRAP
from tests.process.scripts import Heard, Runner
from tests.process.test_script_api import ANY, SUPPORTED, listening, script

__all__ = ["listening", "script"]  # fixtures

MADE = """
import sys, bgrscrpt
before = set(sys.modules)
a = bgrscrpt.pv("A", 1.5, unit="K", low=-1, alarm_high=9, description="d")
b = bgrscrpt.pv("B", 7)
c = bgrscrpt.pv("C", True)
d = bgrscrpt.pv("D", "y", choices=["x", "y"])
e = bgrscrpt.pv("E", "text\\n\\x1b")
f = bgrscrpt.pv("F", [1.5, 10.0])
g = bgrscrpt.pv("G", (1, 2), size=5)
"""
# Fewer messages than `frames.FEW`, so that the IOC takes each value, however busy it is.
EVERY_TYPE = (
    MADE
    + """
a.set(2); a.set(3, severity="major"); b.set(-1); c.set(0); d.set(0); e.set("\\u00fc"); g.set([10])
f.set([1])
print(a.value, b.value, c.value, d.value, e.value == "\\u00fc", f.value, g.value)
written = {"json", "struct", "base64", "threading", "asyncio", "re", "inspect", "traceback"}
print(sorted(written & (set(sys.modules) - before)), bgrscrpt.pv("A", 5.0) is a)
import os
if os.path.isdir("/proc/self/task"):
    assert len(os.listdir("/proc/self/task")) == 1, "there is a thread"
"""
)
WRONG = (
    MADE
    + """
for wrong in ("x", None, [1], 1j):
    a.set(wrong); b.set(wrong); d.set(9); f.set(wrong)
print(a.value, b.value, d.value, f.value)
bgrscrpt.pv("A", 5.0)
"""
)


def values(heard: Heard, name: str) -> list[bytes]:
    """What a PV was set to."""
    return [each.data for each in heard.messages if isinstance(each, PvSet) and each.name == name]


@pytest.mark.parametrize("version", SUPPORTED)
async def test_every_type(script: Path, runner: Runner, version: tuple[int, int]) -> None:
    """Values of each type arrive; wrong ones are said once; no module in Python is imported."""
    script.write_text(EVERY_TYPE)
    heard = await runner.run(script, SUPPORTED[version])
    assert heard.text.decode() == "3.0 -1 False x True [1] [10]\n[] True\n"
    made = [each for each in heard.messages if isinstance(each, PvMade)]
    assert [(each.name, each.type) for each in made] == [
        ("A", "float"), ("B", "int"), ("C", "bool"), ("D", "choice"), ("E", "text"),
        ("F", "floats"), ("G", "ints"),
    ]  # fmt: skip
    assert (made[0].low, made[0].high, made[0].alarm_high, made[0].unit) == (-1, None, 9, "K")
    assert (made[2].choices, made[3].choices) == (("False", "True"), ("x", "y"))
    assert (made[4].size, made[5].size, made[6].size) == (4096, 100000, 5)
    assert values(heard, "A") == [b"1.5", b"2.0", b"3.0"]
    assert values(heard, "E") == [b"text\n\x1b", "\u00fc".encode()]
    assert values(heard, "F") == [struct.pack("<2d", 1.5, 10.0), struct.pack("<d", 1)]
    assert values(heard, "G") == [struct.pack("<2i", 1, 2), struct.pack("<i", 10)]
    severities = [each.severity for each in heard.messages if isinstance(each, PvSet)]
    assert severities.count(2) == 1
    script.write_text(WRONG)
    heard = await runner.run(script, SUPPORTED[version])
    assert heard.text.decode() == "1.5 7 y [1]\n"
    told = [each.text for each in heard.messages if isinstance(each, Complained)]
    assert len(told) == len(set(told)) == 13, told


PUTS = """
import sys, threading, bgrscrpt
def take(value):
    if value < 0:
        raise ValueError("negative")
    if value == 7:
        a.set(8)
a = bgrscrpt.pv("A", 1, writable=True, on_put=take, keep=True)
b = bgrscrpt.pv("B", 0.0, writable=True)
print("kept", a.value, flush=True)
while True:
    b.wait()
"""


@pytest.mark.parametrize("version", SUPPORTED)
async def test_puts(script: Path, runner: Runner, version: tuple[int, int]) -> None:
    """What is kept is the first value; puts are taken in order, and it is told how each ended."""
    script.write_text(PUTS)
    process, heard = runner.launch(script, SUPPORTED[version])

    def tell(**command: Any) -> None:
        assert process.tell(json.dumps(command).encode() + b"\n")

    tell(kind="kept", values={"A": 5, "X": "y"})
    await heard.until_printed(b"kept 5\n")
    puts = [("A", 6), ("A", -1), ("A", 7), ("B", 1.5), ("NO", 1), ("B", float("nan")), ("B", 99)]
    for number, (pv, value) in enumerate(puts):
        tell(kind="put", number=number, pv=pv, value=value)
    await heard.until_heard(PutEnded, len(puts))
    process.send(Sign.INTERRUPT)
    await heard.until("has_exited")
    ended = [each for each in heard.messages if isinstance(each, PutEnded)]
    assert ended == [
        PutEnded(0, "", True), PutEnded(1, "ValueError: negative", False), PutEnded(2, "", False),
        PutEnded(3, "", True), PutEnded(4, "the script has no such PV", False),
        PutEnded(5, "", True), PutEnded(6, "", True),
    ]  # fmt: skip
    assert b"on_put of the PV A failed:\nTraceback" in heard.text
    assert b"_bgrscrpt" not in heard.text.partition(b"ValueError: negative")[0]
    assert heard.reason == "SIGINT"


THREADS = """
import sys, threading, time, bgrscrpt
sys.setswitchinterval(1e-6)
ready = threading.Barrier(8)
def make(number):
    ready.wait()
    bgrscrpt.pv("N%d" % number, number, writable=True, keep=True)
threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
for each in threads: each.start()
for each in threads: each.join()
print("made", flush=True)
while True: time.sleep(1000)
"""


@pytest.mark.parametrize("version", SUPPORTED)
async def test_threads_make_their_first_pvs_at_once(
    script: Path, runner: Runner, version: tuple[int, int]
) -> None:
    """All belong to one and the same list, and one thread takes the puts to them, in order."""
    script.write_text(THREADS)
    process, heard = runner.launch(script, SUPPORTED[version])
    process.tell(json.dumps({"kind": "kept", "values": {}}).encode() + b"\n")
    await heard.until_printed(b"made\n")
    for number in range(400):
        told = {"kind": "put", "number": number, "pv": f"N{number % 8}", "value": number}
        assert process.tell(json.dumps(told).encode() + b"\n")
    await heard.until_heard(PutEnded, 400)
    ended = [each for each in heard.messages if isinstance(each, PutEnded)]
    assert ended == [PutEnded(number, "", True) for number in range(400)]


def test_by_hand(tmp_path: Path) -> None:
    """Without an IOC values stay in the script; what is wrong is said on stderr."""
    script = tmp_path / "script.py"
    script.write_text(
        "import bgrscrpt\na = bgrscrpt.pv('A', 1.5)\na.set(2)\n"
        "w = bgrscrpt.pv('W', [1], writable=True, keep=True, on_put=print)\n"
        "print(a.value, w.value, w.wait(0.01), bgrscrpt.pv('a', 3).value)\n"
    )
    for environ, module in (({"PYTHONPATH": str(BOOTSTRAP.parent)}, ()), ({}, ("-m", "bgrscrpt"))):
        done = subprocess.run(
            [sys.executable, *module, str(script)], env=environ, capture_output=True, check=True
        )
        assert done.stdout == b"2.0 [1] False 3\n"
        told = b"bgrscrpt: the PV 'a' is not served: a name of A-Z, 0-9, _ and : expected\n"
        assert done.stderr == told


@given(name=st.sampled_from(["A", "B:C"]) | ANY, initial=ANY, value=ANY, option=ANY)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_raises(listening: int, name: Any, initial: Any, value: Any, option: Any) -> None:
    """Whatever `pv` and `set` are given, they return, and what is sent is messages."""
    bgrscrpt._pvs = None
    made = bgrscrpt.pv(name, initial)
    made.set(value)
    made.set(initial, severity=option)
    bgrscrpt.pv("C", 1.0, unit=option, low=option, precision=option, description=option)
    bgrscrpt.pv("D", "x", choices=option, size=option)
    bgrscrpt.alive()  # so that there is something to read
    for message in MessageReader().feed(os.read(listening, 1 << 20)):
        assert not isinstance(message, Refused), message
