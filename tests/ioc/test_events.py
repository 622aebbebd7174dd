"""Each field posts the events that base's record engine posts, mask by mask."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from benchmarks.rig.ca import DBE_ALARM, DBE_LOG, DBE_VALUE, HERE, Client, Monitor, Peer, ca_environ
from benchmarks.rig.ca import free_port as free
from bgrscrpt_ioc.ca.fields import fields
from bgrscrpt_ioc.lifecycle.events import Severity
from tests.ioc.served import P, Served

TEMPLATE = HERE.parents[1] / "db" / "bgrscrpt.template"
MASKS = (DBE_VALUE, DBE_LOG, DBE_ALARM)

# For one record of each kind that can be in alarm: another value, what puts base's record into
# alarm without another value, and what else that changes.
ALARMED: dict[str, tuple[int, dict[str, Any]]] = {
    "CPU": (5, {"HIHI": 5.0, "HHSV": "MAJOR"}),
    "EXITCODE": (5, {"HIHI": 5, "HHSV": "MAJOR"}),
    "LOG:COUNT": (5, {"HIHI": 5, "HHSV": "MAJOR"}),
    "SCRIPT:CHANGED": (1, {"OSV": "MAJOR"}),
    "AUTORESTART": (1, {"OSV": "MAJOR"}),
    "STATUS": (2, {"TWSV": "MAJOR"}),
}
# ACKS: base keeps the highest severity until somebody acknowledges it; here nothing is
# acknowledged.
LEFT_OUT = {"ACKS", "ACKT", "PROC"}
# RVAL of a bo: base adds ALARM to the value's events if the alarm changes at the same time.
TOO_MUCH = {("RVAL", DBE_ALARM)}


@pytest.fixture(scope="module")
def base() -> Iterator[Client]:
    """Base's engine with our database."""
    port = free()
    command = [sys.executable, str(HERE / "softioc_peer.py"), str(TEMPLATE)]
    with ExitStack() as stack:
        stack.enter_context(Peer([*command, "P=TE:,NAME=BGRSCRPT_01"], ca_environ(port)))
        yield stack.enter_context(Client(port))


class Watch:
    """The monitors of all fields of one record, one for each mask."""

    def __init__(
        self, client: Client, name: str, names: list[str], mark: Callable[[int], object]
    ) -> None:
        client.read_all([f"{P}{name}.{field}" for field in names])  # connects all at once
        self._client, self._mark = client, mark
        self._monitors: dict[tuple[str, int], Monitor] = {
            (field, mask): client.monitor(f"{P}{name}.{field}", mask)
            for field in names
            for mask in MASKS
        }
        self._marks = client.monitor(f"{P}HEARTBEAT", DBE_VALUE)
        self._number = client.get(f"{P}HEARTBEAT")
        self.posted()

    def posted(self) -> set[tuple[str, int]]:
        """Return what has come since the last call.

        Base sends events in another thread than its answers. That thread goes round the monitors.
        When it has come round twice, all that was posted before has been sent.
        """
        for _ in range(2):
            self._number += 1
            self._mark(self._number)
            self._marks.wait_for(self._number)
        fresh = {each["event"] for each in self._client.said if "event" in each}
        self._client.said.clear()
        return {key for key, monitor in self._monitors.items() if monitor.handle in fresh}


@pytest.mark.parametrize("name", ALARMED)
def test_fields_post_what_base_s_post(
    base: Client, start_ioc: Callable[..., Served], name: str
) -> None:
    """After a change of value alone, of alarm alone, and back, each field posts as base's."""
    serve = start_ioc(still=True)
    value, alarm = ALARMED[name]
    kind = base.get(f"{P}{name}.RTYP")
    names = ["VAL", *(each for each in fields(kind) if each not in LEFT_OUT | alarm.keys())]
    base.put_callback(f"{P}{name}.VAL", 0)  # it is defined, and not in alarm
    theirs = Watch(base, name, names, lambda n: base.put_callback(f"{P}HEARTBEAT", n))
    with Client(serve.port) as client:
        serve.publish(name, 0)
        ours = Watch(client, name, names, lambda n: serve.publish("HEARTBEAT", n))
        found = []

        base.put_callback(f"{P}{name}.VAL", value)
        serve.publish(name, value)
        found.append((ours.posted(), theirs.posted()))

        for field, setting in alarm.items():
            base.put_callback(f"{P}{name}.{field}", setting)
        base.put_callback(f"{P}{name}.PROC", 1)
        serve.publish(name, value, Severity.MAJOR)
        found.append((ours.posted(), theirs.posted()))

        base.put_callback(f"{P}{name}.VAL", 0)
        serve.publish(name, 0)
        found.append((ours.posted(), theirs.posted()))
    assert all(their for _, their in found)
    for our, their in found:
        assert our == their - TOO_MUCH


@pytest.mark.parametrize(("name", "text"), [("EXITREASON", "exit 3"), ("MESSAGE", "hello")])
def test_texts_post_what_base_s_post(base: Client, serve: Served, name: str, text: str) -> None:
    """The same holds for texts, which base's records never put into alarm."""
    kind = base.get(f"{P}{name}.RTYP")
    names = ["VAL", *(each for each in fields(kind) if each not in LEFT_OUT)]
    if kind == "stringin":
        names.append("VAL$")
    base.put_callback(f"{P}{name}.VAL", "")
    theirs = Watch(base, name, names, lambda n: base.put_callback(f"{P}HEARTBEAT", n))
    with Client(serve.port) as client:
        ours = Watch(client, name, names, lambda n: serve.publish("HEARTBEAT", n))
        put = [*text.encode()] if kind == "waveform" else text
        base.put_callback(f"{P}{name}.VAL", put)
        serve.publish(name, text)
        assert ours.posted() == theirs.posted() != set()
