"""A disk that hangs under one instance's files delays that instance and no other."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.rig.ca import ECA_NORMAL, ECA_PUTFAIL, Client
from benchmarks.rig.iocs import FOREVER, Ioc, until
from bgrscrpt_ioc.lifecycle.events import State

WELL, ILL = "TE:BGRSCRPT_01:", "TE:BGRSCRPT_02:"
DETACH = 2  # MNT_DETACH of umount2(2)
WORST = 10.0  # s for a get on a busy machine; while the IOC hangs, none is answered at all


@contextmanager
def hung(path: Path) -> Iterator[None]:
    """A file system over this directory that answers nobody until the end: a FUSE without a server.

    Whoever looks into it waits in the kernel, as for a network disk whose server is away.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        pytest.skip("no FUSE here")
    options = f"fd={server},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if libc.mount(b"hung", os.fsencode(path), b"fuse", 0, options.encode()):
        os.close(server)
        pytest.skip("mounting takes root")
    try:
        yield
    finally:
        os.close(server)  # who waits gets an error
        libc.umount2(os.fsencode(path), DETACH)


@contextmanager
def served(directory: Path, setting: str) -> Iterator[Client]:
    """A client of an IOC of two instances; the second one's file `setting` is in `ill`."""
    ill = directory / "ill"
    ill.mkdir()
    (ill / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (ill / "python").chmod(0o755)
    for script in directory / "script.py", ill / "script.py":
        script.write_text(FOREVER)
    file = {"cwd": ill, "python": ill / "python", "script": ill / "script.py"}[setting]
    config = directory / "ioc.toml"
    config.write_text(
        f'prefix = "TE:"\nstate_dir = "{directory}/state"\n'
        f'[defaults]\nat_start = "stop"\nstart_timeout = 8\nrestart = "never"\n'
        f'cwd = "{directory}"\nscript = "{directory}/script.py"\n'
        f'[instance.BGRSCRPT_01]\n[instance.BGRSCRPT_02]\n{setting} = "{file}"\n'
    )
    with Ioc(directory, "--config", config) as ioc, Client(ioc.ready().port) as client:
        yield client


@pytest.mark.parametrize("setting", ["cwd", "python", "script"])
def test_a_disk_that_hangs(tmp_path: Path, setting: str) -> None:
    """START of one instance waits for its disk, and is stopped or fails; all others are served."""
    with served(tmp_path, setting) as client:
        client.get(WELL + "STATUS")
        (idle,) = client.times(0.5, WELL + "STATUS")
        with hung(tmp_path / "ill"):
            status = client.monitor(ILL + "STATUS")
            client.put(ILL + "START", 1)
            status.wait_for(State.STARTING)
            (ill,) = client.times(1.0, WELL + "STATUS")
            print(
                f"{setting}: get of another: median {ill[len(ill) // 2] * 1e3:.2f} ms, worst"
                f" {ill[-1] * 1e3:.1f} ms; idle {idle[len(idle) // 2] * 1e3:.2f} ms"
            )
            assert ill[-1] < WORST
            assert client.put_callback(WELL + "START") == ECA_NORMAL
            assert client.put_callback(WELL + "AUTORESTART", 0) == ECA_NORMAL
            kept = tmp_path / "state" / "TE.BGRSCRPT_01.json"
            until(lambda: kept.exists() and '"autorestart": false' in kept.read_text())
            assert client.put_callback(ILL + "STOP") == ECA_NORMAL
            assert client.get(ILL + "PID") == 0
            if setting == "script":
                told = "look at the script of BGRSCRPT_02: not done within 5 s"
                until(lambda: told in client.text(ILL + "SCRIPT:MSG"))
            # It fails by itself, too, and says why.
            assert client.put_callback(ILL + "START") == ECA_PUTFAIL
            assert client.get(ILL + "STATUS") == State.FAILED
            assert "does not answer" in client.text(ILL + "ERROR")
        # The disk answers again: what had been given up is not launched now.
        until(lambda: client.text(ILL + "SCRIPT:MSG") == "")
        assert client.get(ILL + "STATUS") == State.FAILED
        assert client.put_callback(ILL + "START") == ECA_NORMAL
        assert client.put_callback(ILL + "STOP") == ECA_NORMAL
        assert client.get(ILL + "STARTS") == 3


def test_a_fifo_as_a_script(tmp_path: Path) -> None:
    """A FIFO is refused with a clear message, and nobody waits for it."""
    with served(tmp_path, "script") as client:
        fifo = tmp_path / "ill" / "script.py"
        fifo.unlink()
        os.mkfifo(fifo)
        told = f"{fifo} is a FIFO, not a file: set `script` to a Python file"
        assert client.text(ILL + "SCRIPT:MSG") == told
        assert client.put_callback(ILL + "CHECK") == ECA_PUTFAIL
        assert client.put_callback(ILL + "START") == ECA_PUTFAIL
        assert "is a FIFO, a socket or a device, not a file" in client.text(ILL + "ERROR")
        assert client.put_callback(WELL + "AUTORESTART", 0) == ECA_NORMAL
        kept = tmp_path / "state" / "TE.BGRSCRPT_01.json"
        until(lambda: kept.exists() and '"autorestart": false' in kept.read_text())
