"""The pipes of a run: reads the run's output at a limited pace, and writes commands without a wait.

The proactor loop cannot read a plain descriptor, so a reading end is a named pipe with overlapped
I/O.
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

ROOM = 1 << 20  # bytes of output that the pipe holds
MESSAGES = 1 << 16  # bytes of messages that the pipe holds
CHUNK = 1 << 18  # bytes that the reader gets at once, at most
PACE = 0.005  # s between two chunks for the reader: many short chunks cost far more
LONGEST_QUEUE = 1 << 22  # bytes that may wait to be written: a put of the longest array has 1.1 MB
PIECE = 1 << 15  # bytes to write at once: a pipe may take all of them or none
TURNS = 4  # turns of the loop until data that the kernel has read is with us

TYPE_MESSAGE = 4  # PIPE_TYPE_MESSAGE: the pipe takes a write as a whole or not at all
NOWAIT = 1  # PIPE_NOWAIT
FIRST_INSTANCE = 0x00080000  # FILE_FLAG_FIRST_PIPE_INSTANCE: fails if the pipe exists already
_NUMBERS = itertools.count(1)


def inbound(room: int, *, messages: bool = False) -> tuple[int, int]:
    """Make a pipe from a run to the IOC; return the handles to read (overlapped) and to write.

    Raises:
        OSError: the system has no more pipes.
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
    """Make a pipe to a run, whose writer never waits; return the handles to read and to write."""
    read, write = _winapi.CreatePipe(_winapi.NULL, room)
    _winapi.SetNamedPipeHandleState(write, NOWAIT, None, None)
    return read, write


class Pipe(asyncio.Protocol):
    """The reading end of a pipe, as a protocol of asyncio."""

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
        """Read the pipe: pass data to `read`, except while `behind` returns True.

        Args:
            handle: handle of the reading end; closed with the pipe.
            read: function that gets the data, up to `chunk` bytes at once.
            behind: function that returns whether the data must wait in the pipe.
            chunk: bytes that `read` gets at once, at most.
            pace: seconds between two calls of `read`, if the first got less than a chunk.
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
        """Begin to read."""
        self._transport = transport
        if self._closed:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Keep data and pass it on at its time; until then, further data waits in the pipe.

        A pending read would wake the loop for each line that is written.
        """
        if self._closed:
            return
        self._waiting += data
        if self._timer is None:
            self._give()
        self._pause(not self._draining)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Note that the writing end is closed."""
        self._at_end = True

    # --- ours ------------------------------------------------------------------------------------

    def _pause(self, pause: bool) -> None:
        if pause is not self._paused and self._transport is not None and not self._at_end:
            self._paused = pause
            with contextlib.suppress(RuntimeError):  # the transport is closing
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
        """Pass on so many bytes, at most; return how many."""
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        with self._faults:  # otherwise the pipe is not read on, and the end of the run is missed
            self._read(data)
        return len(data)

    async def drain(self) -> None:
        """Pass on the data that the pipe holds now, and little of what is added meanwhile."""
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
        except OSError:  # the other end is closed
            return 0

    def close(self) -> None:
        """Stop reading for good, and close the handle."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()


class Inlet:
    """The writing end of a pipe. Data that finds no room waits, up to a limit."""

    def __init__(self, handle: int) -> None:
        """Write to this handle, which never blocks."""
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> bool:
        """Write all data, now or soon; write nothing and return False if too much data waits."""
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
            except OSError:  # the reader has closed the pipe
                self._waiting.clear()
                return False
            if not done:
                self._timer = self._loop.call_later(PACE, self._go_on)
                break
            del self._waiting[:done]
        return True

    def close(self) -> None:
        """Stop writing for good, and close the handle."""
        if self._timer is not None:
            self._timer.cancel()
        if self._handle:
            _winapi.CloseHandle(self._handle)
            self._handle = 0
