"""What base's acceptance test does, sequence by sequence: it prints what came of each.

A process over the real libca, of which it uses what pyepics does not wrap. It knows nothing of the
server: the test compares what came of two of them. The PVs are `SWITCH`, of two states, and `TEXT`.
"""

from __future__ import annotations

import ctypes
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from epics import ca, dbr

DEADLINE = 60.0  # s
SWITCH, TEXT, *MANY = sys.argv[1:] if __name__ == "__main__" else ("", "")
NORMAL, NO_USER = 1, ctypes.c_void_p(None)
VALUE = 1  # DBE_VALUE
KEPT: list[Any] = []  # ctypes callbacks, as long as libca may call them
EVENT = ctypes.CFUNCTYPE(None, dbr.event_handler_args)
CONNECTION = ctypes.CFUNCTYPE(None, dbr.connection_args)
Args = Any
libca: Any = ca.initialize_libca() if __name__ == "__main__" else None


def kept(kind: Any, call: Callable[[Args], None]) -> Any:
    KEPT.append(kind(call))
    return KEPT[-1]


class Waiting:
    """Counts what callbacks do, and waits for it; `pend` is for contexts without threads."""

    def __init__(self, *, pend: bool = False) -> None:
        self._changed, self._pend = threading.Condition(), pend
        self.done: Counter[str] = Counter()
        self.values: list[Any] = []

    def note(self, what: str, value: Any = None) -> None:
        with self._changed:
            self.done[what] += 1
            self.values.append(value)
            self._changed.notify_all()

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < end, (self.done, self.values[-3:])
            if self._pend:
                libca.ca_pend_event(ctypes.c_double(0.01))
            else:
                with self._changed:
                    self._changed.wait(0.05)


def create(name: str, call: Any = None, priority: int = 0) -> Any:
    chid = dbr.chid_t()
    status = libca.ca_create_channel(
        name.encode(), call, NO_USER, ctypes.c_uint(priority), ctypes.byref(chid)
    )
    assert status == NORMAL, ca.message(status)
    return chid


def pend_io() -> int:
    return libca.ca_pend_io(ctypes.c_double(DEADLINE))


def connected(name: str, priority: int = 0) -> Any:
    chid = create(name, priority=priority)
    assert pend_io() == NORMAL
    return chid


def clear(chid: Any) -> None:
    assert libca.ca_clear_channel(chid) == NORMAL


def get(chid: Any, kind: int = dbr.LONG, count: int = 1) -> Any:
    data = (dbr.Map[kind] * count)()
    status = libca.ca_array_get(kind, ctypes.c_ulong(count), chid, data)
    assert status == NORMAL, ca.message(status)
    assert pend_io() == NORMAL
    return data[0] if count == 1 else list(data)


def put(chid: Any, value: int, kind: int = dbr.LONG) -> int:
    data = ctypes.create_string_buffer(b"On" if value else b"Off", 40)
    if kind != dbr.STRING:
        data = (dbr.Map[kind] * 1)(value)
    return libca.ca_array_put(kind, ctypes.c_ulong(1), chid, data)


def put_callback(chid: Any, value: int, call: Any, kind: int = dbr.LONG) -> int:
    data = ctypes.create_string_buffer(b"On" if value else b"Off", 40)
    if kind != dbr.STRING:
        data = (dbr.Map[kind] * 1)(value)
    return libca.ca_array_put_callback(kind, ctypes.c_ulong(1), chid, data, call, NO_USER)


def get_callback(chid: Any, call: Any, kind: int = dbr.LONG, count: int = 1) -> int:
    return libca.ca_array_get_callback(kind, ctypes.c_ulong(count), chid, call, NO_USER)


def subscribe(chid: Any, call: Any, kind: int = dbr.LONG, evid: Any = None) -> Any:
    evid = ctypes.c_void_p() if evid is None else evid
    status = libca.ca_create_subscription(
        kind, ctypes.c_ulong(1), chid, ctypes.c_long(VALUE), call, NO_USER, ctypes.byref(evid)
    )
    assert status == NORMAL, ca.message(status)
    return evid


def number(args: Args) -> int:
    return ctypes.cast(args.raw_dbr, ctypes.POINTER(dbr.Map[dbr.LONG]))[0] if args.raw_dbr else -1


@contextmanager
def context(*, preemptive: bool) -> Iterator[None]:
    """Have a context of this thread's own."""
    assert libca.ca_context_create(int(preemptive)) == NORMAL
    try:
        yield
    finally:
        libca.ca_context_destroy()


# --- sequences ---------------------------------------------------------------------------------


def puts_of_all_types() -> Any:
    """Put each plain type with callback and without; read back after each."""
    chid, found = connected(SWITCH), []
    for kind in (dbr.STRING, dbr.INT, dbr.FLOAT, dbr.ENUM, dbr.CHAR, dbr.LONG, dbr.DOUBLE):
        for value in (1, 0):
            waits = Waiting()
            call = kept(EVENT, lambda args, w=waits: w.note("put", args.status))
            found.append((put_callback(chid, value, call, kind), put(chid, 1 - value, kind)))
            found.append((get(chid), waits.until(lambda w=waits: w.values) or waits.values))
            assert put(chid, value, kind) == NORMAL
            found.append(get(chid, kind if kind != dbr.STRING else dbr.ENUM))
    clear(chid)
    return found


def bunches() -> Any:
    """Ask for a lot in one go: gets, puts, both with callback; all are answered, in order."""
    chid, waits = connected(SWITCH), Waiting()
    data = (dbr.Map[dbr.LONG] * 2000)(*[7] * 2000)
    size = ctypes.sizeof(dbr.Map[dbr.LONG])
    put(chid, 1)
    for at in range(2000):
        libca.ca_array_get(dbr.LONG, ctypes.c_ulong(1), chid, ctypes.byref(data, at * size))
    assert pend_io() == NORMAL
    read = kept(EVENT, lambda args: waits.note("get", number(args)))
    done = kept(EVENT, lambda args: waits.note("put", args.status))
    for at in range(500):
        put(chid, at % 2)
        get_callback(chid, read)
    for at in range(500):
        put_callback(chid, at % 2, done)
    libca.ca_flush_io()
    waits.until(lambda: sum(waits.done.values()) == 1000)
    last = get(chid)
    clear(chid)
    return Counter(data), waits.done, waits.values, last


def clears_in_callbacks() -> Any:
    """Clear a channel in its own get, put and monitor callback, and a monitor in its own."""
    waits, made, other = Waiting(), threading.Lock(), connected(SWITCH)
    for do in ("get", "put", "monitor", "monitor only"):
        chid, evid = connected(SWITCH), ctypes.c_void_p()

        def called(args: Args, do: str = do, chid: Any = chid, evid: Any = evid) -> None:
            with made:
                clear(chid) if do != "monitor only" else libca.ca_clear_subscription(evid)
            waits.note(do, args.status)

        call = kept(EVENT, called)
        if do == "get":
            get_callback(chid, call)
        elif do == "put":
            put_callback(chid, 1, call)
        else:
            with made:
                subscribe(chid, call, evid=evid)
        libca.ca_flush_io()
        waits.until(lambda do=do: waits.done[do])
        if do == "monitor only":
            clear(chid)
    value = get(other)
    clear(other)
    return waits.done, waits.values, value


def monitors_in_connection_callbacks() -> Any:
    """Create monitors where a channel connects, and clear it while their first updates come."""
    waits = Waiting()
    update = kept(EVENT, lambda args: waits.note("update", number(args)))

    def connects(args: Args) -> None:
        if args.op == 6:  # CA_OP_CONN_UP
            waits.note("up")
            for _ in range(10):
                subscribe(dbr.chid_t(args.chid), update)

    call = kept(CONNECTION, connects)
    chids = [create(SWITCH, call) for _ in range(20)]
    libca.ca_flush_io()
    waits.until(lambda: waits.done["up"] == 20 and waits.done["update"] >= 200)
    for chid in chids:
        clear(chid)
    return waits.done


def clears_with_requests_outstanding() -> Any:
    """Clear channels right behind their requests; the circuit lives, and others are answered."""
    waits = Waiting()
    ignored = kept(EVENT, lambda _args: None)
    for at in range(50):
        chid = connected(SWITCH)
        for _ in range(at % 7):
            get_callback(chid, ignored)
            put_callback(chid, at % 2, ignored)
            subscribe(chid, ignored)
        libca.ca_flush_io() if at % 3 else None
        clear(chid)
    chid = connected(SWITCH)
    get_callback(chid, kept(EVENT, lambda args: waits.note("get", args.status)))
    libca.ca_flush_io()
    waits.until(lambda: waits.done["get"])
    clear(chid)
    return waits.values


def contexts_that_go() -> Any:
    """Put and destroy the context at once: the put is done all the same, twenty times."""
    found = []

    def run() -> None:
        for at in range(20):
            with context(preemptive=bool(at % 2)):
                put(connected(SWITCH), at // 2 % 2)
            with context(preemptive=False):
                found.append(get(connected(SWITCH)))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found


def many_monitors() -> Any:
    """Two thousand monitors of one channel: each ends with the last value; none comes later."""
    chid, last = connected(SWITCH), {}
    put(chid, 0)
    get(chid)
    waits, evids = Waiting(), []
    for at in range(2000):
        call = kept(EVENT, lambda args, at=at: last.update({at: number(args)}) or waits.note("u"))
        evids.append(subscribe(chid, call))
    libca.ca_flush_io()
    waits.until(lambda: len(last) == 2000)
    for value in (1, 0, 1):
        put(chid, value)
    libca.ca_flush_io()
    waits.until(lambda: set(last.values()) == {1})
    for evid in random.Random(1).sample(evids, 2000):  # noqa: S311
        assert libca.ca_clear_subscription(evid) == NORMAL
    put(chid, 0)
    get(chid)
    ended = sorted(set(last.values()))
    clear(chid)
    return ended


def sync_groups() -> Any:
    """Block on groups of gets and puts, reset one that waits, delete one that is not over."""
    libca.ca_sg_block.argtypes = libca.ca_sg_array_get.argtypes = None  # pyepics' are not C's
    libca.ca_sg_array_put.argtypes = libca.ca_sg_create.argtypes = None
    libca.ca_sg_test.argtypes = libca.ca_sg_reset.argtypes = libca.ca_sg_delete.argtypes = None
    chid, gid = connected(SWITCH), ctypes.c_uint()
    found = [libca.ca_sg_create(ctypes.byref(gid))]
    one = (dbr.Map[dbr.LONG] * 1)(1)
    seen = [(dbr.Map[dbr.LONG] * 1)(9) for _ in range(50)]
    for each in seen:
        libca.ca_sg_array_put(gid, dbr.LONG, ctypes.c_ulong(1), chid, one)
        libca.ca_sg_array_get(gid, dbr.LONG, ctypes.c_ulong(1), chid, each)
    found.append(libca.ca_sg_block(gid, ctypes.c_double(DEADLINE)))
    found.append([each[0] for each in seen])
    found.append(libca.ca_sg_test(gid))
    for each in seen:
        libca.ca_sg_array_get(gid, dbr.LONG, ctypes.c_ulong(1), chid, each)
    found += [libca.ca_sg_reset(gid), libca.ca_sg_test(gid), libca.ca_sg_delete(gid)]
    other = ctypes.c_uint()
    libca.ca_sg_create(ctypes.byref(other))
    libca.ca_sg_array_get(other, dbr.LONG, ctypes.c_ulong(1), chid, seen[0])
    found += [libca.ca_sg_delete(other), get(chid)]
    clear(chid)
    return found


def what_is_refused() -> Any:
    """Types and counts that are none, and arrays at their edges: the same statuses and elements."""
    chid, text = connected(SWITCH), connected(TEXT)
    data = (ctypes.c_byte * 100_000)()
    largest = libca.ca_element_count(text)
    found: list[Any] = [largest]
    for of, kind, count in (
        (chid, 99, 1), (chid, dbr.LONG, 2), (chid, dbr.LONG, -1), (text, dbr.CHAR, largest + 1),
        (text, dbr.CHAR, 1), (text, dbr.LONG, 9),
    ):  # fmt: skip
        status = libca.ca_array_get(kind, ctypes.c_ulong(count), of, data)
        if status != NORMAL:  # libca counts it all the same, until somebody has waited in vain
            libca.ca_pend_io(ctypes.c_double(0.001))
        found.append((kind, count, status, status == NORMAL and pend_io(), bytes(data)[:40].hex()))
    for kind, count in (
        (dbr.CHAR, 0), (dbr.CHAR, 3), (dbr.STRING, 2), (dbr.DOUBLE, largest), (35, 1), (36, 1),
    ):  # fmt: skip
        waits = Waiting()

        def came(args: Args, w: Waiting = waits) -> None:
            data = ctypes.string_at(args.raw_dbr, 2).hex() if args.raw_dbr else ""
            w.note("get", (args.status, args.count, data))

        status = get_callback(text, kept(EVENT, came), kind, count)
        libca.ca_flush_io()
        if status == NORMAL:
            waits.until(lambda w=waits: w.values)
        found += [status, *waits.values]
    clear(chid)
    clear(text)
    return found


def threads() -> Any:
    """Eight threads with contexts of their own, half of them preemptive, do all at one time."""
    found: list[Any] = []

    def run(at: int) -> None:
        with context(preemptive=bool(at % 2)):
            chid, waits = connected(SWITCH), Waiting(pend=not at % 2)
            evid = subscribe(chid, kept(EVENT, lambda args: waits.note("update", number(args))))
            done = kept(EVENT, lambda args: waits.note("put", args.status))
            for each in range(50):
                put_callback(chid, each % 2, done)
                get(chid)
            libca.ca_flush_io()
            waits.until(lambda: waits.done["put"] == 50 and waits.done["update"])
            libca.ca_clear_subscription(evid)
            clear(chid)
            found.append(waits.done["put"])

    several = [threading.Thread(target=run, args=(at,)) for at in range(8)]
    for each in several:
        each.start()
    for each in several:
        each.join()
    return found


def priorities() -> Any:
    """Channels of several priorities have a circuit each, and read the same."""
    found: list[Any] = []

    def run() -> None:
        with context(preemptive=False):
            chids = [connected(SWITCH, priority) for priority in (0, 1, 50, 98, 99)]
            found.append([get(chid) for chid in chids])
            found.append(libca.ca_get_ioc_connection_count())
            for chid in chids:
                clear(chid)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found


def a_client_that_is_behind() -> Any:
    """Who has no thread and does not pend turns events off, and gets the newest in the end."""
    found: list[Any] = []

    def run() -> None:
        with context(preemptive=False):
            slow, waits = connected(SWITCH), Waiting(pend=True)
            subscribe(slow, kept(EVENT, lambda args: waits.note("update", number(args))))
            waits.until(lambda: waits.done["update"])
            turn.set()
            assert go_on.wait(DEADLINE)
            waits.until(lambda: waits.values[-1] == 1 and waits.done["update"] > 1)
            found.append(waits.values[-1])
            clear(slow)

    turn, go_on = threading.Event(), threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    assert turn.wait(DEADLINE)
    chid = connected(SWITCH)
    for at in range(4000):
        put(chid, at % 2)
    assert get(chid) == 1
    go_on.set()
    thread.join()
    clear(chid)
    return found


def ten_thousand_channels() -> Any:
    """Ten thousand channels on one circuit: all connect, are read and watched, and are cleared."""
    waits, size = Waiting(), 10_000
    connects = kept(CONNECTION, lambda args: waits.note("up") if args.op == 6 else None)
    chids = [create(MANY[at % len(MANY)], connects) for at in range(size)]
    libca.ca_flush_io()
    waits.until(lambda: waits.done["up"] == size)
    read = kept(EVENT, lambda args: waits.note("get", args.status))
    update = kept(EVENT, lambda args: waits.note("update", args.status))
    for at, chid in enumerate(chids):
        get_callback(chid, read, dbr.STRING)
        if at % 2:
            subscribe(chid, update, dbr.STRING)
    libca.ca_flush_io()
    waits.until(lambda: waits.done["get"] == size and waits.done["update"] >= size // 2)
    types = [libca.ca_field_type(chid) for chid in chids]
    for chid in random.Random(2).sample(chids, size):  # noqa: S311
        clear(chid)
    other = connected(SWITCH)
    get(other)
    clear(other)
    return waits.done, types, sorted(Counter(waits.values).items(), key=str)


SEQUENCES = (
    puts_of_all_types, bunches, clears_in_callbacks, monitors_in_connection_callbacks,
    clears_with_requests_outstanding, contexts_that_go, many_monitors, sync_groups,
    what_is_refused, threads, priorities, a_client_that_is_behind, ten_thousand_channels,
)  # fmt: skip


def main() -> None:
    # libca ends a circuit with its last channel. A channel that is found while the circuit ends is
    # given to it, and searched for ten seconds later.
    stays = connected(SWITCH)
    for each in SEQUENCES:
        began = time.monotonic()
        result = each()
        print(json.dumps([each.__name__, result, round(time.monotonic() - began, 2)]), flush=True)
    clear(stays)


if __name__ == "__main__":
    main()
