"""PVs that a script makes, from the script to a client over the real libca."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.ca import ECA_NORMAL, ECA_PUTFAIL, TIME, Client
from benchmarks.rig.iocs import until
from bgrscrpt_ioc.client.ownpvs import own_pvs
from tests.ioc.scripted import P, Scripted

COMM, WRITE, INVALID, MAJOR = 9, 2, 3, 2
BEGIN = """
got = []
def fails(value):
    got.append(value)
    raise ValueError("not %r" % value)
temp = bgrscrpt.pv("TEMP", 1.5, unit="K", description="A temperature", alarm_high=5, low=0, high=10)
sp = bgrscrpt.pv("SP", 2.0, writable=True, low=0, high=10, on_put=got.append)
plain = bgrscrpt.pv("PLAIN", 7, writable=True)
bad = bgrscrpt.pv("BAD", 3, writable=True, on_put=fails)
slow = threading.Event()
hangs = bgrscrpt.pv("HANGS", 0, writable=True, on_put=lambda value: slow.wait(1000))
"""


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    with Scripted(tmp_path, BEGIN) as scripted:
        yield scripted


def test_values_limits_and_alarms(scripted: Scripted) -> None:
    """A value that the script sets is posted at once, with its alarm, unit and limits."""
    client = scripted.client
    assert client.connect(P + "TEMP") == {"type": 6, "count": 1, "readable": 1, "writable": 0}
    seen = client.monitor(P + "TEMP")
    seen.wait_for(1.5)
    scripted.done("temp.set(7); temp.set(7, severity=0); temp.set(8, 'minor'); temp.set('x')")
    seen.wait_for(8.0)
    assert [(e["value"], e["severity"], e["status"]) for e in seen.events] == [
        (1.5, 0, 0), (7.0, MAJOR, 3), (7.0, 0, 0), (8.0, 1, 15),
    ]  # fmt: skip
    read = scripted.get("TEMP", 34)
    assert (read["units"], read["precision"]) == ("K", 3)
    assert (read["lower_disp_limit"], read["upper_disp_limit"]) == (0, 10)
    assert read["upper_alarm_limit"] == 5
    assert math.isnan(read["lower_alarm_limit"])
    assert client.get(P + "TEMP.DESC") == "A temperature"
    text = "the PV TEMP keeps its value: a number expected, not 'x'"
    until(lambda: text in client.text(P + "LOG"))
    assert client.text(P + "ERROR") == text


def test_a_put_is_completed_by_the_script(scripted: Scripted) -> None:
    """A put completes when on_put returns, and fails when it raises; values are clipped."""
    client = scripted.client
    assert client.put_callback(P + "SP", 55.0) == ECA_NORMAL
    assert scripted.get("SP")["value"] == 10.0
    scripted.done("assert got == [10.0] and sp.value == 10.0")
    assert client.put_callback(P + "PLAIN", 8) == ECA_NORMAL
    scripted.done("assert plain.wait(0) and not plain.wait(0) and plain.value == 8")
    assert client.put_callback(P + "BAD", 4) == ECA_PUTFAIL
    assert (scripted.get("BAD")["value"], scripted.alarm("BAD")) == (3, (MAJOR, WRITE))
    until(lambda: "ValueError: not 4" in client.text(P + "LOG"))
    scripted.done("assert got[-1] == 4 and bad.value == 3; bad.set(3)")
    assert scripted.alarm("BAD") == (0, 0)
    scripted.done("waited = []; t = threading.Thread(target=lambda: waited.append(sp.wait()))")
    scripted.done("t.start()")
    assert client.put_callback(P + "SP", 5.0) == ECA_NORMAL
    scripted.done("t.join(); assert waited == [True]")


def test_a_put_is_seen_at_once(scripted: Scripted) -> None:
    """A get behind a put sees the new value, though on_put has not returned; others go on."""
    client = scripted.client
    client.connect(P + "HANGS")
    put = client.begin_put(P + "HANGS", 5)
    assert client.get(P + "HANGS") == 5
    assert not client.answered(put)


def test_a_stop_fails_all_puts(scripted: Scripted) -> None:
    """With 100 puts waiting STOP completes them all; then the PVs are INVALID, and puts fail."""
    client = scripted.client
    client.connect(P + "HANGS")
    puts = [client.begin_put(P + "HANGS", at) for at in range(100)]
    assert client.put_callback(P + "STOP") == ECA_NORMAL
    assert {client.answer(put) for put in puts} == {ECA_PUTFAIL}
    assert client.get(P + "HANGS") == 0
    for name in ("HANGS", "TEMP", "SP"):
        assert scripted.alarm(name) == (INVALID, COMM)
    assert client.put_callback(P + "SP", 3.0) == ECA_PUTFAIL
    assert scripted.alarm("SP") == (INVALID, COMM)
    assert client.get(P + "TEMP") == 1.5


@pytest.fixture
def soon_healthy(tmp_path: Path) -> Iterator[Scripted]:
    keep = "counter = bgrscrpt.pv('COUNTER', 5, keep=True, writable=True)\n"
    keep += "names = bgrscrpt.pv('NAMES', 'none', keep=True)\n"
    options = ("--healthy-after", "0.2")
    with Scripted(tmp_path, keep + "old = bgrscrpt.pv('OLD', 1)\n", *options) as scripted:
        yield scripted


def test_a_later_run(soon_healthy: Scripted) -> None:
    """PVs that a later run does not make disappear when the run is healthy; kept values stay."""
    scripted, client = soon_healthy, soon_healthy.client
    old, counter = client.monitor(P + "OLD"), client.monitor(P + "COUNTER")
    old.wait_for(1)
    assert client.put_callback(P + "COUNTER", 8) == ECA_NORMAL
    scripted.done("names.set('a\\nb'); counter.set(counter.value + 1)")
    scripted.write(
        "counter = bgrscrpt.pv('COUNTER', 5, keep=True, writable=True)\n"
        "names = bgrscrpt.pv('NAMES', 'none', keep=True)\n"
        "assert (counter.value, names.value) == (9, 'a\\nb')\n"
        "new = bgrscrpt.pv('NEW', 3)\n"
    )
    assert "OLD" in client.text(P + "PVS")
    scripted.restart()
    with pytest.raises(RuntimeError), Client(scripted.ioc.port) as other:
        until(lambda: other.connect(P + "OLD", timeout=0.5) and False)
    assert counter.values[-1] == 9  # its client was never disconnected
    assert [each["severity"] for each in counter.events][-2:] == [INVALID, 0]
    assert client.get(P + "NEW") == 3
    until(lambda: {"OLD", "NEW"} & {*own_pvs(client.text(P + "PVS"))} == {"NEW"})
    scripted.write("old = bgrscrpt.pv('OLD', 2)\n")
    seen = len(old.events)
    scripted.restart()
    client.wait_for(lambda: old.values[-1] == 2 and len(old.events) > seen)


def test_kept_values_survive_the_ioc(tmp_path: Path) -> None:
    """A kept value of the last IOC is the initial value in the next IOC."""
    begin = "n = bgrscrpt.pv('N', 1, keep=True)\nxs = bgrscrpt.pv('XS', [1.0], size=9, keep=True)\n"
    with Scripted(tmp_path, begin) as scripted:
        scripted.done("n.set(77); xs.set([1.5, 2.5])")
        assert scripted.ioc.end() == 0
    with Scripted(tmp_path, begin) as scripted:
        scripted.done("assert (n.value, xs.value) == (77, [1.5, 2.5])")
        assert scripted.get("N")["value"] == 77


def test_waiting_clients_find_a_new_pv(scripted: Scripted) -> None:
    """A client that has waited for long finds a PV soon after the script has made it."""
    with Client(scripted.ioc.port) as waiting:
        with pytest.raises(RuntimeError):
            waiting.connect(P + "LATE", timeout=3.0)
        scripted.done("late = bgrscrpt.pv('LATE', 1)")
        assert waiting.connect(P + "LATE")["type"] == 5


def test_what_is_wrong_is_said_once(scripted: Scripted) -> None:
    """A bad name, type or option gives one line in LOG and ERROR; the handle works locally."""
    scripted.done(
        "bad = [bgrscrpt.pv('bad', 1.0), bgrscrpt.pv('START', 1), bgrscrpt.pv('X', object()),\n"
        "  bgrscrpt.pv('Y' * 60, 1), bgrscrpt.pv('Z', 1, low='x'), bgrscrpt.pv(None, 1),\n"
        "  bgrscrpt.pv('V', 1, precision='x'), bgrscrpt.pv('W', 1, writable=True, on_put=5)]\n"
        "bad[1].set(2)\n"
        "bad[0].set(2.0); assert bad[0].value == 2.0\n"
        "bad[2].set('anything'); assert bad[2].value == 'anything'\n"
        "assert bgrscrpt.pv('TEMP', 3.0) is temp\n"
        "many = [bgrscrpt.pv('M%d' % n, n) for n in range(1100)]"
    )
    client = scripted.client
    lines = [
        "the PV 'bad' is not served: a name of A-Z, 0-9, _ and : expected",
        "the PV START is not served: TE:BGRSCRPT_01:START is a PV of the IOC: choose another name",
        "the PV X is not served: a number, True or False, a text or a sequence of numbers expected",
        "the PV Z is not served: low: a number expected",
        "the PV V is not served: precision: a whole number expected",
        "the PV W is not served: on_put: a function expected",
        "the PV TEMP is made a second time, in another way: ignored",
        "a script has at most 1000 PVs",
    ]
    until(lambda: lines[-1] in client.text(P + "LOG"))
    log = client.text(P + "LOG")
    assert [log.count(line) for line in lines[:-1]] == [1] * 7
    assert "lost" not in log
    assert log.count(lines[-1]) < 120


EVERY: dict[str, tuple[str, str, Any]] = {  # name: the first value, what is set, what is read
    "FLOAT": ("1.5", "2.5", 2.5),
    "INT": ("1", "-2", -2),
    "BOOL": ("False", "True", 1),
    "CHOICE": ("'a', choices=('a', 'b', 'c')", "'c'", 2),
    "FLOATS": ("[0.5]", "[1.5, float('nan'), 2]", [1.5, math.nan, 2.0]),
    "INTS": ("range(3)", "[7, -8]", [7, -8]),
}


def test_every_type(tmp_path: Path) -> None:
    """Each type is served as its record, and read as what was set; so is a put."""
    begin = "".join(
        f"{name} = bgrscrpt.pv('{name}', {first}, writable=True)\n"
        for name, (first, _, _) in EVERY.items()
    )
    with Scripted(tmp_path, begin + "text = bgrscrpt.pv('TEXT', 'x', writable=True)\n") as scripted:
        client = scripted.client
        for name, (_, value, expected) in EVERY.items():
            scripted.done(f"{name}.set({value})")
            assert repr(scripted.get(name)["value"]) == repr(expected), name
        scripted.done("text.set('Grüße\\n' * 2)")
        assert client.text(P + "TEXT") == "Grüße\n" * 2
        assert client.put_callback(P + "TEXT", list("süß".encode())) == ECA_NORMAL
        assert client.put_callback(P + "CHOICE", "b") == ECA_NORMAL
        assert client.put_callback(P + "BOOL", "False") == ECA_NORMAL
        assert client.put_callback(P + "FLOATS", 4.5) == ECA_NORMAL
        assert client.put_callback(P + "INT", "12") == ECA_NORMAL
        scripted.done("assert text.value == 'süß' and CHOICE.value == 'b' and BOOL.value is False")
        scripted.done("assert FLOATS.value == [4.5] and INT.value == 12")
        assert client.get(P + "FLOATS.NORD") == 1
        assert client.get(P + "FLOATS.FTVL") == 10
        kinds = [client.get(f"{P}{name}.RTYP") for name in EVERY]
        assert kinds == ["ao", "longout", "bo", "mbbo", "waveform", "waveform"]


def test_long_arrays(tmp_path: Path) -> None:
    """100,000 numbers arrive whole, of a list or of numpy, and so do those that follow."""
    begin = "import numpy\nxs = bgrscrpt.pv('XS', numpy.zeros(100000))\n"
    with Scripted(tmp_path, begin) as scripted:
        for text, last in (("numpy.arange(100000) / 7", 99999 / 7), ("[1.5] * 100000", 1.5)):
            scripted.done(f"xs.set({text})")
            value = scripted.client.elements(P + "XS")
            assert (len(value), value[-1]) == (100000, last)


def test_long_puts(tmp_path: Path) -> None:
    """Clients put 100,000 numbers at once, and one puts to another PV meanwhile; all arrive."""
    begin = (
        "xs = bgrscrpt.pv('XS', [0.0] * 100000, writable=True)\n"
        "ns = bgrscrpt.pv('NS', [0], size=20000, writable=True)\n"
        "n = bgrscrpt.pv('N', 0, writable=True)\n"
    )
    numbers = [each / 7 for each in range(100_000)]
    with Scripted(tmp_path, begin) as scripted:
        clients = [Client(scripted.ioc.port) for _ in range(3)]
        try:
            puts = [each.begin_put(P + "XS", numbers) for each in clients]
            assert scripted.client.put_callback(P + "N", 5) == ECA_NORMAL
            ends = [each.answer(put) for each, put in zip(clients, puts, strict=True)]
        finally:
            for each in clients:
                each.kill()
        assert ends == [ECA_NORMAL] * 3
        scripted.done("assert xs.value == [each / 7 for each in range(100000)]")
        assert scripted.client.elements(P + "XS") == numbers
        assert scripted.client.put_callback(P + "NS", numbers[:20_000]) == ECA_NORMAL
        assert (
            scripted.client.put_callback(P + "XS", [f"{each}" for each in range(1000)])
            == ECA_NORMAL
        )
        scripted.done("assert ns.value == [each // 7 for each in range(20000)]")
        scripted.done("assert xs.value == list(map(float, range(1000)))")


COROUTINE = """
import asyncio
async def take(value):
    await asyncio.sleep(0.01)
    taken.append((value, asyncio.get_running_loop() is loop))
    if value < 0:
        raise ValueError("negative")
async def main():
    global loop, taken, sp
    loop, taken = asyncio.get_running_loop(), []
    sp = bgrscrpt.pv("SP", 1.0, writable=True, on_put=take)
    await asyncio.sleep(1000)
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
"""


def test_a_coroutine_takes_puts(tmp_path: Path) -> None:
    """on_put may be a coroutine function: it runs in the loop that made the PV, put after put."""
    with Scripted(tmp_path, COROUTINE) as scripted:
        client = scripted.client
        client.connect(P + "SP")
        puts = [client.begin_put(P + "SP", value) for value in (2.0, 3.0, -1.0, 4.0)]
        answers = [client.answer(put) for put in puts]
        assert answers == [ECA_NORMAL, ECA_NORMAL, ECA_PUTFAIL, ECA_NORMAL]
        scripted.done("assert taken == [(2.0, True), (3.0, True), (-1.0, True), (4.0, True)]")
        assert client.read(P + "SP", TIME + 6)["value"] == 4.0
        until(lambda: "in take" in client.text(P + "LOG"))  # the traceback of -1.0


def test_children_may_set_values(tmp_path: Path) -> None:
    """A forked child sets a PV that the script has made, and makes none."""
    begin = "n = bgrscrpt.pv('N', 1)\n"
    with Scripted(tmp_path, begin) as scripted:
        scripted.done(
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    n.set(42); bgrscrpt.pv('OTHER', 1).set(5); os._exit(0)\n"
            "os.waitpid(pid, 0)"
        )
        until(lambda: scripted.client.get(P + "N") == 42)


def test_a_flood_is_held_to_the_newest(scripted: Scripted) -> None:
    """If values are set without pause, LOG says so once, and the last value is served."""
    scripted.done("for n in range(200000): temp.set(n)\ntemp.set(3.25)")
    client = scripted.client
    until(lambda: client.get(P + "TEMP") == 3.25)
    said = "the PV TEMP is set faster than values are shown"
    until(lambda: said in client.text(P + "LOG"))
    assert client.text(P + "LOG").count(said) == 1


def test_many_are_made_at_once(tmp_path: Path) -> None:
    """1,000 PVs, which is more than the channel holds at once: each has its value, none is lost."""
    begin = "many = [bgrscrpt.pv('M%d' % n, n, description='x' * 40) for n in range(998)]\n"
    with Scripted(tmp_path, begin) as scripted:
        names = [f"{P}M{n}" for n in range(0, 998, 97)]
        read = scripted.client.read_all(names)
        assert [each and each["value"] for each in read] == list(range(0, 998, 97))
        assert "lost" not in scripted.client.text(P + "LOG")


def test_a_module_that_is_imported_ahead_makes_pvs(tmp_path: Path) -> None:
    """PVs that a module of `preload` makes are the run's, and are written, after a RESTART too."""
    (tmp_path / "ahead.py").write_text("import bgrscrpt\nA = bgrscrpt.pv('A', 1, writable=True)\n")
    options = ("--preload", "ahead", "--python-path", str(tmp_path))
    with Scripted(tmp_path, "import ahead\n", *options) as scripted:
        for value in (5, 6):
            scripted.restart()
            assert scripted.alarm("A") == (0, 0)
            assert scripted.client.put_callback(P + "A", value) == ECA_NORMAL
            scripted.done(f"assert ahead.A.value == {value}")


def test_kept_values_are_known_ahead(tmp_path: Path) -> None:
    """A module of `preload` finds the value of then; the run has the last of the run before."""
    (tmp_path / "ahead.py").write_text(
        "import bgrscrpt\nN = bgrscrpt.pv('N', 1, keep=True)\nTHEN = N.value\n"
    )
    begin = "import ahead, atexit\natexit.register(lambda: ahead.N.set(ahead.N.value + 1))\n"
    options = ("--preload", "ahead", "--python-path", str(tmp_path))
    with Scripted(tmp_path, begin, *options) as scripted:
        scripted.done("ahead.N.set(10)")
        until(lambda: scripted.get("N")["value"] == 10)
        scripted.restart()
        scripted.done("assert (ahead.THEN, ahead.N.value) == (10, 11)")
        assert scripted.get("N")["value"] == 11
