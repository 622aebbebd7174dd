"""A client over the real libca, told what to do by JSON lines: a process of its own.

libca reads the environment once, when it is loaded, and one Python cannot load it twice.
"""

from __future__ import annotations

import ctypes
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from epics import ca, dbr

DEADLINE = 60.0  # s
FEW = 20  # gets that are timed at least
PAUSE = 0.002  # s between two of them, at most
WRITING = threading.Lock()
CHANNELS: dict[str, Any] = {}
KEPT: list[Any] = []  # ctypes callbacks, as long as libca may call them
libca: Any


def say(message: dict[str, Any]) -> None:
    with WRITING:
        print(json.dumps(message, default=str), flush=True)


def channel(pv: str, timeout: float) -> Any:
    if pv not in CHANNELS:
        CHANNELS[pv] = ca.create_channel(pv, connect=False, auto_cb=False)
    if not ca.connect_channel(CHANNELS[pv], timeout=timeout):
        raise TimeoutError(f"{pv} is not found")
    return CHANNELS[pv]


def plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def connect(pv: str, timeout: float) -> dict[str, Any]:
    chid = channel(pv, timeout)
    return {
        "type": ca.field_type(chid),
        "count": ca.element_count(chid),
        "readable": ca.read_access(chid),
        "writable": ca.write_access(chid),
    }


def get(pv: str, timeout: float, kind: int | None = None, count: int | None = None) -> Any:
    """Read as DBR type `kind` (its number); -> what it is made of."""
    chid = channel(pv, timeout)
    read = ca.get_with_metadata(chid, ftype=kind, count=count, timeout=timeout)
    if read is None:
        raise TimeoutError(f"{pv}: no answer")
    return {key: plain(value) for key, value in read.items()}


def times(pvs: list[str], seconds: float) -> Any:
    """Read by turns for a while, at random moments; -> how long the gets of each took, s.

    The pauses make the client one of another host: there it waits for no processor.
    """
    taken: list[list[float]] = [[] for _ in pvs]
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(taken[-1]) < FEW:
        for pv, those in zip(pvs, taken, strict=True):
            time.sleep(PAUSE * random.random())  # noqa: S311 - no secret
            began = time.perf_counter()
            get(pv, DEADLINE)
            those.append(time.perf_counter() - began)
    return [sorted(each) for each in taken]


def read_all(pvs: list[str], timeout: float) -> Any:
    """Read many PVs as their own types; -> for each its type, count, value, or None."""
    for pv in pvs:
        CHANNELS.setdefault(pv, ca.create_channel(pv, connect=False, auto_cb=False))
    rows: list[Any] = []
    for pv in pvs:
        try:
            rows.append({**connect(pv, timeout), **get(pv, DEADLINE)})
        except TimeoutError:
            rows.append(None)
    return rows


def raw(pv: str, timeout: float, kind: int, count: int, size: int) -> Any:
    """Read whatever DBR type; -> its `size` bytes, and the status that came with them."""
    done, answers = threading.Event(), []

    def answered(args: Any) -> None:
        data = ctypes.string_at(args.raw_dbr, size) if args.raw_dbr else b""
        answers.append({"status": args.status, "count": args.count, "data": data.hex()})
        done.set()

    callback = dbr.make_callback(answered, dbr.event_handler_args)
    KEPT.append(callback)
    chid = channel(pv, timeout)
    libca.ca_array_get_callback(kind, count, chid, callback, ctypes.py_object(None))
    ca.flush_io()
    if not done.wait(timeout):
        raise TimeoutError(f"{pv}: no answer")
    return answers[0]


def put_data(chid: Any, value: Any) -> tuple[int, int, Any]:
    """DBR type, count and data of what is put: as pyepics has them."""
    if isinstance(value, str):
        return dbr.STRING, 1, ctypes.create_string_buffer(value.encode(), dbr.MAX_STRING_SIZE)
    if isinstance(value, list) and isinstance(value[0], float):
        return dbr.DOUBLE, len(value), (ctypes.c_double * len(value))(*value)
    if isinstance(value, list) and isinstance(value[0], str):
        texts = b"".join(each.encode().ljust(dbr.MAX_STRING_SIZE, b"\0") for each in value)
        return dbr.STRING, len(value), ctypes.create_string_buffer(texts)
    if isinstance(value, list):  # bytes
        return dbr.CHAR, len(value), (ctypes.c_ubyte * len(value))(*value)
    if isinstance(value, float):
        return dbr.DOUBLE, 1, ctypes.byref(ctypes.c_double(value))
    kind = ca.field_type(chid)
    kind = dbr.LONG if kind == dbr.STRING else kind
    return kind, 1, ctypes.byref(dbr.Map[kind](value))


def put(pv: str, timeout: float, value: Any) -> Any:
    """Put and forget; -> the status of the call, which knows nothing of the server's."""
    chid = channel(pv, timeout)
    kind, count, data = put_data(chid, value)
    status = libca.ca_array_put(kind, count, chid, data)
    ca.flush_io()
    return status


def put_callback(answer: Callable[[Any], None], pv: str, timeout: float, value: Any) -> None:
    """Put; -> the ECA status of its completion, whenever that is."""
    chid = channel(pv, timeout)
    kind, count, data = put_data(chid, value)
    callback = dbr.make_callback(lambda args: answer(args.status), dbr.event_handler_args)
    KEPT.append(callback)
    status = libca.ca_array_put_callback(kind, count, chid, data, callback, ctypes.py_object(None))
    ca.flush_io()
    if status != dbr.ECA_NORMAL:
        answer(status)


def monitor(pv: str, timeout: float, mask: int, count: int = 0) -> Any:
    """Have all changes told; -> the handle that they come with."""
    chid = channel(pv, timeout)
    handle = len(KEPT)

    def changed(pvname: str, value: Any, **more: Any) -> None:
        seen = {key: more.get(key) for key in ("status", "severity", "timestamp", "count")}
        say({"event": handle, "pv": pvname, "value": plain(value), **seen})

    KEPT.append(
        ca.create_subscription(chid, use_time=True, mask=mask, count=count, callback=changed)
    )
    return handle


def cancel(handle: int) -> None:
    ca.clear_subscription(KEPT[handle][2])


def clear(pv: str) -> None:
    ca.clear_channel(CHANNELS.pop(pv))
    ca.flush_io()


def excepted(args: Any) -> None:
    say({"exception": args.stat})


class Excepted(ctypes.Structure):
    """The first fields of `struct exception_handler_args` (cadef.h)."""

    _fields_ = (
        ("usr", ctypes.c_void_p),
        ("chid", ctypes.c_void_p),
        ("type", ctypes.c_long),
        ("count", ctypes.c_long),
        ("addr", ctypes.c_void_p),
        ("stat", ctypes.c_long),
    )


CALLS: dict[str, Callable[..., Any]] = {
    each.__name__: each
    for each in (connect, get, times, read_all, raw, put, monitor, cancel, clear)
}


def do(request: dict[str, Any]) -> None:
    identity, name = request.pop("id"), request.pop("do")

    def answer(result: Any) -> None:
        say({"id": identity, "result": result})

    try:
        if name == "put_callback":
            put_callback(answer, **request)
        else:
            answer(CALLS[name](**request))
    except (ca.ChannelAccessException, OSError, ValueError, KeyError) as error:
        say({"id": identity, "error": f"{type(error).__name__}: {error}"})


def main() -> None:
    global libca  # noqa: PLW0603 - loaded in this thread only
    libca = ca.initialize_libca()
    handler = ctypes.CFUNCTYPE(None, Excepted)(excepted)
    KEPT.append(handler)
    libca.ca_add_exception_event(handler, ctypes.c_void_p(None))
    say({"ready": True})
    for line in sys.stdin:
        do(json.loads(line))
    ca.finalize_libca()


if __name__ == "__main__":
    main()
