"""Pipes of a run: the event loop reads what it writes at a bounded pace, what it is told waits.

The proactor loop reads no plain descriptor: a reading end is a named pipe with overlapped I/O.
"""

from __future__ import annotations

import _winapi
import asyncio
import contextlib
import itertools
import os
import secrets
import time
from asyncio import windows_utils
from collections.abc import Callable
from typing import Any

from bgrscrpt_ioc.host.faults import Faults
from bgrscrpt_ioc.host.ration import Ration

ROOM = 1 << 20  # bytes of output that wait in the pipe
MESSAGES = 1 << 16  # bytes of messages that do
CHUNK = 1 << 18  # bytes that the reader is given at most
PACE = 0.005  # s between two times that it is given some: many short ones cost far more
LONGEST_QUEUE = 1 << 22  # bytes that wait to be written: a put of the longest array has 1.1 MB
PIECE = 1 << 15  # bytes that are written at once: a pipe may take all of them or none
TURNS = 4  # of the loop until what the kernel has read has come to us

TYPE_MESSAGE = 4  # PIPE_TYPE_MESSAGE: what is written is taken whole or not at all
NOWAIT = 1  # PIPE_NOWAIT
FIRST_INSTANCE = 0x00080000  # FILE_FLAG_FIRST_PIPE_INSTANCE: nobody else made it before us
_NUMBERS = itertools.count(1)


def inbound(room: int, *, messages: bool = False) -> tuple[int, int]:
    """Make a pipe; return the handles to read from, overlapped, and to write to.

    Raises:
        OSError: the system has no more of them.
    """
    name = rf"\\.\pipe\bgrscrpt_ioc-{os.getpid()}-{next(_NUMBERS)}-{secrets.token_hex(8)}"
    read = _winapi.CreateNamedPipe(
        name,
        _winapi.PIPE_ACCESS_INBOUND | _winapi.FILE_FLAG_OVERLAPPED | FIRST_INSTANCE,
        TYPE_MESSAGE if messages else 0,
        1,
        0,
        room,
        0,
        _winapi.NULL,
    )
    try:
        write = _winapi.CreateFile(
            name, _winapi.GENERIC_WRITE, 0, _winapi.NULL, _winapi.OPEN_EXISTING, 0, _winapi.NULL
        )
        _winapi.ConnectNamedPipe(read, overlapped=True).GetOverlappedResult(True)
    except OSError:
        _winapi.CloseHandle(read)
        raise
    return read, write


def outbound(room: int) -> tuple[int, int]:
    """Make a pipe that is never waited for; return the handles to read from and to write to."""
    read, write = _winapi.CreatePipe(_winapi.NULL, room)
    _winapi.SetNamedPipeHandleState(write, NOWAIT, None, None)
    return read, write


class Pipe(asyncio.Protocol):
    """The reading end of a pipe; a protocol of asyncio's."""

    def __init__(
        self,
        handle: int,
        read: Callable[[bytes], None],
        behind: Callable[[], bool] = bool,
        *,
        chunk: int = CHUNK,
        pace: float = PACE,
        # Windows counts the CPU time of a thread in steps of 16 ms.
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Give what comes to `read`, but not while the reader is `behind` with it.

        Args:
            handle: of the reading end; closed with the pipe.
            read: takes what was read, up to `chunk` bytes.
            behind: whether what comes is to wait in the pipe.
            chunk: bytes that `read` takes at once.
            pace: seconds between two times, if the first was no whole chunk.
            clock: returns seconds of work of the event loop's thread.
        """
        self._handle, self._read, self._behind = handle, read, behind
        self._pace, self._ration = pace, Ration(chunk, pace, clock)
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.ReadTransport | None = None
        self._paused = self._draining = self._at_end = self._closed = False
        self._faults = Faults("what a process wrote")
        pipe = windows_utils.PipeHandle(handle)
        self._connecting = self._loop.create_task(self._connect(pipe))

    async def _connect(self, pipe: windows_utils.PipeHandle) -> None:
        await self._loop.connect_read_pipe(lambda: self, pipe)

    # --- asyncio's side --------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self._transport = transport
        if self._closed:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Keep it, and give it on in its turn; until then what comes waits in the pipe.

        A read that waits there is answered by each line that is written, one wake-up for each.
        """
        if self._closed:
            return
        self._waiting += data
        if self._timer is None:
            self._give()
        self._pause(not self._draining)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Nobody writes any more."""
        self._at_end = True

    # --- ours ------------------------------------------------------------------------------------

    def _pause(self, pause: bool) -> None:
        if pause is not self._paused and self._transport is not None and not self._at_end:
            self._paused = pause
            with contextlib.suppress(RuntimeError):  # the transport closes at this moment
                (self._transport.pause_reading if pause else self._transport.resume_reading)()

    def _give(self) -> None:
        self._timer = None
        if self._closed:
            return
        if self._behind():
            self._timer = self._loop.call_later(self._pace, self._give)
            return
        if self._waiting:
            self._ration.begin()
            pause = self._ration.end(self._hand_over(self._ration.size))
            self._timer = self._loop.call_later(pause, self._give)
        if len(self._waiting) < CHUNK:
            self._pause(False)

    def _hand_over(self, size: int) -> int:
        """Give so many bytes on, at most; return how many."""
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        with self._faults:  # else nothing more is read, and the end of a run is not told
            self._read(data)
        return len(data)

    async def drain(self) -> None:
        """Give on what is in the pipe now, and little of what others add to it meanwhile."""
        await self._connecting
        self._draining = True
        left = len(self._waiting) + self._readable() + CHUNK
        while left > 0 and not self._closed:
            self._pause(False)
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if not self._waiting and (self._at_end or not self._readable()):
                break
            while self._waiting and left > 0:
                left -= self._hand_over(CHUNK)
        self._draining = False

    def _readable(self) -> int:
        """Return how many bytes the pipe holds now."""
        if self._at_end or self._closed:
            return 0
        try:
            return int(_winapi.PeekNamedPipe(self._handle, 0)[0])
        except OSError:  # nobody has the other end
            return 0

    def close(self) -> None:
        """Stop reading, for good."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()


class Inlet:
    """The writing end of a pipe: what finds no room waits for it, up to a bound."""

    def __init__(self, handle: int) -> None:
        """Write to the handle, which does not wait."""
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> bool:
        """Write it all, now or soon; False, and nothing is written, if too much waits already."""
        too_much = self._waiting and len(self._waiting) + len(data) > LONGEST_QUEUE
        if not self._handle or too_much:
            return False
        self._waiting += data
        if self._timer is None:
            return self._go_on()
        return True

    def _go_on(self) -> bool:
        self._timer = None
        while self._waiting and self._handle:
            try:
                done = _winapi.WriteFile(self._handle, bytes(self._waiting[:PIECE]))[0]
            except OSError:  # nobody reads it any more
                self._waiting.clear()
                return False
            if not done:
                self._timer = self._loop.call_later(PACE, self._go_on)
                break
            del self._waiting[:done]
        return True

    def close(self) -> None:
        """Write no more, for good."""
        if self._timer is not None:
            self._timer.cancel()
        if self._handle:
            _winapi.CloseHandle(self._handle)
            self._handle = 0
