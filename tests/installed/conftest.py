"""Wheel and source distribution, each installed in an environment of its own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tarfile import open as open_tar

import pytest

ROOT = Path(__file__).parents[2]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whichever test comes first waits for pip."""
    if item.path.parent == Path(__file__).parent:
        item.add_marker(pytest.mark.timeout(400))


@dataclass(frozen=True)
class Installed:
    """An environment that has the package."""

    home: Path

    @property
    def command(self) -> Path:
        """The command line that the package installs."""
        return self.home / "bin" / "bgrscrpt-ioc"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.home / "bin" / "python"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of a parallel run have in common."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    (base / "installed").mkdir(exist_ok=True)
    return base / "installed"


@contextmanager
def once(path: Path) -> Iterator[bool]:
    """Let the first worker make `path`, and all others wait for it; True for the first."""
    done = path.with_name(f"{path.name}.done")
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not done.exists()
        done.touch()


@pytest.fixture(scope="session")
def distributions(shared: Path) -> tuple[Path, Path]:
    """The wheel and the source distribution, as they are published."""
    directory = shared / "dist"
    with once(directory) as is_first:
        if is_first:
            build(ROOT, directory, "wheel", "sdist")
    (wheel,), (sdist,) = directory.glob("*.whl"), directory.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="session")
def from_wheel(shared: Path, distributions: tuple[Path, Path]) -> Installed:
    """An environment with the wheel and all that pip installs for it."""
    home = shared / "wheel"
    with once(home) as is_first:
        if is_first:
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
            pip(home, "--constraint", ROOT / "constraints.txt", distributions[0])
    return Installed(home)


@pytest.fixture(scope="session")
def from_sdist(shared: Path, distributions: tuple[Path, Path]) -> Installed:
    """An environment with a wheel from the source distribution; the libraries are ours."""
    home = shared / "sdist"
    with once(home) as is_first:
        if is_first:
            with open_tar(distributions[1]) as archive:
                archive.extractall(shared / "unpacked", filter="data")
            (source,) = (shared / "unpacked").iterdir()
            build(source, shared / "unpacked", "wheel")
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
            (wheel,) = (shared / "unpacked").glob("*.whl")
            pip(home, "--no-deps", wheel)
            (packages,) = home.glob("lib/python*/site-packages")
            (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(home)


@pytest.fixture(params=["wheel", "sdist"])
def installed(request: pytest.FixtureRequest) -> Installed:
    """Each of the two."""
    return request.getfixturevalue(f"from_{request.param}")


def build(source: Path, directory: Path, *targets: str) -> None:
    options = [f"--target={target}" for target in targets]
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(directory), *options]
    subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)


def pip(home: Path, *arguments: str | Path) -> None:
    """Install into an environment that has no pip of its own."""
    command = [sys.executable, "-m", "pip", "--python", home, "install", "--quiet", *arguments]
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run(list(map(str, command)), check=True, env=environ)
