"""File systems that tests can fill, freeze, break and remove; only root has them."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.rig.iocs import until

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878  # linux/fs.h
EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
FLUSH_FIRST = 0


class Disk:
    """A mounted file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 512, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:  # ENOSPC, which is what is wanted
                    pass

    def make_room(self) -> None:
        """Free the space that `fill` has taken."""
        self._ballast.unlink()

    def remount(self, options: str) -> None:
        """Mount it with other options: `ro`, `rw`."""
        mount_with("-o", f"remount,{options}", str(self.path))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let everybody who writes wait in the kernel, so that not even SIGKILL ends them."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, FIFREEZE, 0)
            try:
                yield
            finally:
                fcntl.ioctl(directory, FITHAW, 0)
        finally:
            os.close(directory)

    def break_down(self) -> None:
        """Answer with an input/output error from now on, until it is mounted again."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, EXT4_IOC_SHUTDOWN, struct.pack("I", FLUSH_FIRST))
        finally:
            os.close(directory)


def mount_with(*arguments: str) -> None:
    """Mount with the arguments of mount(8); if that is not possible, skip the test."""
    if os.geteuid() != 0:
        pytest.skip("ONLY ROOT CAN MOUNT: what happens on a bad disk is NOT tested")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"CANNOT MOUNT ({done.stderr.strip()}): this bad disk is NOT tested")


def unmount(path: Path) -> None:
    """Unmount, even if somebody uses it."""
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def tmpfs(path: Path, size: str = "64k") -> Iterator[Disk]:
    """A small disk in memory."""
    path.mkdir(exist_ok=True)
    mount_with("-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", str(path))
    try:
        yield Disk(path)
    finally:
        unmount(path)


def mounted_from(image: Path) -> str:
    """Return the loop devices that are made of a file; nothing if there is none."""
    return subprocess.run(
        ["/sbin/losetup", "--associated", image], check=True, capture_output=True, text=True
    ).stdout


@contextmanager
def ext4(path: Path, image: Path, size: int = 16) -> Iterator[Disk]:
    """A disk like those of instruments, of `size` MiB, in the file `image`, which is made once."""
    path.mkdir(exist_ok=True)
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(size << 20)
        command = ["/sbin/mkfs.ext4", "-q", "-O", "^has_journal", str(image)]
        subprocess.run(command, check=True)
    # Somebody may have a file open for a moment that keeps the disk mounted, though unmounted
    # lazily. A second mount would then be of the same disk as it is, and not begin anew.
    until(lambda: not mounted_from(image))
    mount_with("-o", "loop", str(image), str(path))
    try:
        yield Disk(path)
    finally:
        unmount(path)
