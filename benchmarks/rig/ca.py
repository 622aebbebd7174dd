"""What tests of an IOC need: processes spoken to by JSON lines, and clients over the real libca.

Everything is a process with a port of its own; nothing here sleeps and hopes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).parent
# s until a test that waits for something fails: a machine may be very busy, and Wine makes it so.
DEADLINE = 240.0 if "BGRSCRPT_TEST_WINDOWS" in os.environ else 120.0
# Below those that Linux gives to whoever asks for any port; none twice to one run of the tests.
# Each worker of a parallel run (gw0, gw1, ...) has every n-th of them: no two look at the same one.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_RANGE = range(10_000 + _WORKER, 32_768, _WORKERS)
_PORTS = itertools.cycle(random.SystemRandom().sample(_RANGE, len(_RANGE)))

ECA_NORMAL, ECA_GETFAIL, ECA_PUTFAIL, ECA_DISCONN, ECA_NOWTACCESS = 1, 152, 160, 192, 376
STRING, INT, FLOAT, ENUM, CHAR, LONG, DOUBLE = range(7)
STS, TIME, GR, CTRL = 7, 14, 21, 28  # added to a native type
STSACK_STRING, CLASS_NAME = 37, 38
DBE_VALUE, DBE_LOG, DBE_ALARM = 1, 2, 4

Message = dict[str, Any]


def free_port() -> int:
    """A port that is free for TCP and UDP on the loopback, and stays so until it is used.

    Not one of those that the kernel gives to whoever asks for any: a client would have it first.
    """
    while True:
        port = next(_PORTS)
        with (
            contextlib.suppress(OSError),  # somebody's
            socket.socket() as tcp,
            socket.socket(type=socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
            return port


def ca_environ(port: int, **more: str) -> dict[str, str]:
    """An environment in which clients and servers of `port` meet, and only those."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("EPICS_", "PYTHONPATH"))
    }
    return {
        **kept,
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CAS_SERVER_PORT": str(port),
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        **more,
    }


class Peer:
    """A process that is asked and answers by JSON lines on its standard pipes."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start it, and wait for its `{"ready": ...}`."""
        self.process = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self.said: list[Message] = []  # all but the answers
        self.errors = b""
        self._answers: dict[int, Message] = {}
        self._unread = b""
        self._asked = 0
        self._open = True
        try:
            self.wait_for(lambda: any("ready" in each for each in self.said))
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def send(self, do: str, **arguments: Any) -> int:
        """Ask; return the number by which to wait for the answer."""
        assert self.process.stdin is not None
        self._asked += 1
        request = {"id": self._asked, "do": do, **arguments}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        return self._asked

    def answer(self, number: int) -> Any:
        """Wait for an answer."""
        self.wait_for(lambda: number in self._answers)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def answered(self, number: int) -> bool:
        """Has the answer come? Does not wait."""
        self._read(0)
        return number in self._answers

    def ask(self, do: str, **arguments: Any) -> Any:
        """Ask, and wait for the answer."""
        return self.answer(self.send(do, **arguments))

    def wait_for(self, condition: Callable[[], Any], timeout: float = DEADLINE) -> Any:
        """Read what the process says until the condition holds; return what it gave."""
        end = time.monotonic() + timeout
        while not (found := condition()):
            left = end - time.monotonic()
            assert left > 0, f"nothing came in {timeout:g} s; said: {self.said}; {self.errors!r}"
            self._read(left)
            if not self._open and not condition():
                code = self.process.wait(timeout)
                raise AssertionError(f"it ended with {code}; said: {self.said}; {self.errors!r}")
        return found

    def wait_for_message(self, key: str, value: Any = None) -> Message:
        """Wait until it has said something with this key (and value); return and forget that."""
        found = self.wait_for(
            lambda: next((m for m in self.said if key in m and value in (None, m[key])), None)
        )
        self.said.remove(found)
        return found

    def end(self, by: signal.Signals | None = None) -> int:
        """End it, by a signal or by the end of its input; return its exit code."""
        assert self.process.stdin is not None
        if by is not None:
            self.process.send_signal(by)
        else:
            self.process.stdin.close()
        deadline = time.monotonic() + DEADLINE
        while self._open and time.monotonic() < deadline:
            self._read(deadline - time.monotonic())
        code = self.process.wait(max(0.1, deadline - time.monotonic()))
        self.kill()
        return code

    def kill(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def _read(self, timeout: float) -> None:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.fileno(), self.process.stderr.fileno()
        readable, _, _ = select.select([out, err], [], [], timeout)
        if err in readable:
            self.errors += os.read(err, 1 << 16)
        if out in readable:
            data = os.read(out, 1 << 20)
            self._open = bool(data)
            *lines, self._unread = (self._unread + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "id" in message:
                    self._answers[message["id"]] = message
                else:
                    self.said.append(message)


class Client(Peer):
    """A client over the real libca. Times are in seconds, DBR types the numbers above."""

    def __init__(self, port: int, **environ: str) -> None:
        """Start a client of the server at `port` of the loopback."""
        super().__init__(
            [sys.executable, "-W", "error", str(HERE / "ca_client.py")],
            ca_environ(port, **environ),
        )

    def connect(self, pv: str, timeout: float = DEADLINE) -> Message:
        """`type`, `count`, `readable`, `writable` of a PV; RuntimeError if nobody has it."""
        return self.ask("connect", pv=pv, timeout=timeout)

    def read(self, pv: str, kind: int | None = None, count: int | None = None) -> Message:
        """`value` and all that goes with it, as this DBR type."""
        return self.ask("get", pv=pv, kind=kind, count=count, timeout=DEADLINE)

    def get(self, pv: str, kind: int | None = None) -> Any:
        """The value as this DBR type."""
        return self.read(pv, kind)["value"]

    def text(self, pv: str) -> str:
        """A text PV, read as clients read them: all of it, up to the NUL."""
        return bytes(self.elements(pv)).partition(b"\0")[0].decode()

    def elements(self, pv: str, kind: int | None = None, count: int | None = None) -> list[Any]:
        """The value as a list, also if it has one element."""
        value = self.read(pv, kind, count)["value"]
        return value if isinstance(value, list) else [value]

    def times(self, seconds: float, *pvs: str) -> list[list[float]]:
        """How long each of many gets of each PV took, s, from the shortest on."""
        return self.ask("times", pvs=pvs, seconds=seconds)

    def read_all(self, pvs: Sequence[str], timeout: float = DEADLINE) -> list[Message | None]:
        """`type`, `count` and `value` of many PVs; None for those that nobody has."""
        return self.ask("read_all", pvs=list(pvs), timeout=timeout)

    def raw(self, pv: str, kind: int, count: int, size: int) -> Message:
        """`status`, `count` and the first `size` bytes of `data`, as libca hands them over."""
        answer = self.ask("raw", pv=pv, kind=kind, count=count, size=size, timeout=DEADLINE)
        return {**answer, "data": bytes.fromhex(answer["data"])}

    def put(self, pv: str, value: Any) -> int:
        """Put without waiting; the status of the call."""
        return self.ask("put", pv=pv, value=value, timeout=DEADLINE)

    def begin_put(self, pv: str, value: Any = 1) -> int:
        """Put with callback; give the number to `answer` or `answered`: it is the ECA status."""
        return self.send("put_callback", pv=pv, value=value, timeout=DEADLINE)

    def put_callback(self, pv: str, value: Any = 1) -> int:
        """Put with callback, and wait; the ECA status."""
        return self.answer(self.begin_put(pv, value))

    def monitor(self, pv: str, mask: int = DBE_VALUE | DBE_ALARM) -> Monitor:
        """Watch a PV. The first value has come: later ones will."""
        made = Monitor(self, self.ask("monitor", pv=pv, mask=mask, timeout=DEADLINE))
        made.wait_for_events(1)
        return made


class Monitor:
    """What a client has seen of a PV, in order."""

    def __init__(self, client: Client, handle: int) -> None:
        self._client, self.handle = client, handle

    @property
    def events(self) -> list[Message]:
        """What has come until now."""
        return [each for each in self._client.said if each.get("event") == self.handle]

    @property
    def values(self) -> list[Any]:
        """The values of them."""
        return [each["value"] for each in self.events]

    def wait_for(self, value: Any) -> list[Any]:
        """Wait until the newest value is this; all values."""
        self._client.wait_for(lambda: self.values and self.values[-1] == value)
        return self.values

    def wait_for_events(self, number: int) -> list[Message]:
        """Wait until so many have come; all of them."""
        self._client.wait_for(lambda: len(self.events) >= number)
        return self.events

    def cancel(self) -> None:
        """Watch no more."""
        self._client.ask("cancel", handle=self.handle)
