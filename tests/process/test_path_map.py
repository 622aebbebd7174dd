"""Scripts with Windows paths under a `path_map`, in every Python that a script may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.process.scripts import Runner, by_hand, interpreters

SUPPORTED = {version: path for version, path in interpreters().items() if version >= (3, 8)}
EVERY_PYTHON = pytest.mark.parametrize(
    "python", SUPPORTED.values(), ids=[f"{major}.{minor}" for major, minor in SUPPORTED]
)

# The first lines of the documentation's script, and what they are for.
DOCUMENTATION = r"""
import sys
import os

sys.path.insert(0, os.path.abspath(os.path.join(r"C:\\", "Instrument", "scripts")))
from technique.muon.plot import NAME
import single, package.module
print(NAME, single.__file__, package.module.NAME, package.__path__)
print(sys.path[0] == os.getcwd() + r"/C:\\/Instrument/scripts")
"""

FILES = r"""
import glob, io, os, pathlib, pickle, shutil, tempfile

TMP = r"C:\Instrument\var\tmp"
os.makedirs(TMP)
os.makedirs(TMP, exist_ok=True)
name = os.path.join(TMP, "a.txt")
with open(name, "w") as file:
    file.write("text")
assert open(name.encode(), mode="rb").read() == io.open(file=name, mode="rb").read() == b"text"
assert os.path.exists(name) and os.path.isfile(name) and os.path.getsize(name) == 4
assert os.path.isdir(TMP) and not os.path.exists(TMP + r"\none")
assert os.listdir(TMP) == ["a.txt"] and os.listdir(TMP.encode()) == [b"a.txt"]
assert [entry.name for entry in os.scandir(TMP)] == ["a.txt"]
assert list(os.walk(TMP)) == [(TMP, [], ["a.txt"])]
assert os.stat(name).st_size == os.stat(path=name).st_size == os.lstat(name).st_size == 4
os.rename(name, TMP + r"\b.txt")
os.replace(src=TMP + r"\b.txt", dst=name)
os.symlink(name, TMP + r"\link")
assert os.path.samefile(name, TMP + r"\link") and os.path.islink(TMP + r"\link")
os.unlink(TMP + r"\link")
fd = os.open(name, os.O_RDONLY)
assert os.read(fd, 10) == b"text" and os.fstat(fd).st_size == os.stat(fd).st_size
os.close(fd)
assert open(os.path.abspath(name)).read() == open(os.path.realpath(name)).read() == "text"

path = pathlib.Path(TMP) / "a.txt"
assert path.exists() and path.is_file() and path.stat().st_size == 4 and path.read_text() == "text"
assert path.resolve().read_bytes() == path.absolute().read_bytes() == b"text"
(pathlib.Path(TMP) / "deep" / "er").mkdir(parents=True)
(pathlib.Path(TMP) / "deep" / "er" / "c.txt").write_text("c")
assert sorted(each.name for each in pathlib.Path(TMP).iterdir()) == ["a.txt", "deep"]
assert sorted(each.name for each in pathlib.Path(TMP).rglob("*.txt")) == ["a.txt", "c.txt"]
assert [os.path.basename(each) for each in glob.glob(os.path.join(TMP, "*.txt"))] == ["a.txt"]
path.rename(pathlib.Path(TMP) / "d.txt")
(pathlib.Path(TMP) / "d.txt").rename(path)
path.touch()
path.chmod(0o600)

shutil.copy(name, TMP + r"\copy.txt")
shutil.copytree(TMP, r"C:\Instrument\var\copy")
assert shutil.rmtree.avoids_symlink_attacks
shutil.rmtree(r"C:\Instrument\var\copy")
assert os.listdir(r"C:\Instrument\var") == ["tmp"]
with tempfile.TemporaryDirectory(dir=TMP) as made:
    assert os.path.isdir(made)
assert sorted(os.listdir(TMP)) == ["a.txt", "copy.txt", "deep"]

assert pickle.loads(pickle.dumps(os.stat)) is os.stat and open is io.open
assert pickle.loads(pickle.dumps(open)) is open
for wrong in (lambda: os.stat(), lambda: os.stat(1.5), lambda: open(None), lambda: os.rename("a")):
    try:
        wrong()
    except TypeError:
        continue
    raise AssertionError(wrong)
os.chdir(TMP)
assert os.listdir() == os.listdir(".") and sorted(os.listdir()) == ["a.txt", "copy.txt", "deep"]
print("as on Windows")
"""


@pytest.fixture
def instrument(tmp_path: Path) -> Path:
    r"""The directory of this host for `C:\Instrument`."""
    scripts = tmp_path / "instrument" / "scripts"
    muon = (
        scripts / "technique" / "muon"
    )  # a namespace package, as those of InstrumentScripts may be
    muon.mkdir(parents=True)
    (muon / "plot.py").write_text("NAME = __name__\n")
    (scripts / "single.py").touch()
    (scripts / "package").mkdir()
    (scripts / "package" / "__init__.py").touch()
    (scripts / "package" / "module.py").write_text("NAME = __name__\n")
    return scripts.parent


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A script in a directory of its own."""
    path = tmp_path / "own" / "script.py"
    path.parent.mkdir()
    return path


def path_map(instrument: Path) -> dict[str, str]:
    return {r"C:\Instrument": str(instrument)}


@EVERY_PYTHON
async def test_the_documentations_imports(
    runner: Runner, script: Path, instrument: Path, python: str
) -> None:
    """Modules, packages and namespace packages are found; `sys.path` is as the script made it."""
    script.write_text(DOCUMENTATION)
    heard = await runner.run(script, python, path_map=path_map(instrument))
    scripts = instrument / "scripts"
    package = scripts / "package"
    assert heard.text.decode() == (
        f"technique.muon.plot {scripts}/single.py package.module ['{package}']\nTrue\n"
    )


@EVERY_PYTHON
async def test_files(runner: Runner, script: Path, instrument: Path, python: str) -> None:
    """`open`, `os`, `os.path`, `pathlib`, `shutil`, `tempfile` work on mapped paths too."""
    script.write_text(FILES)
    heard = await runner.run(script, python, path_map=path_map(instrument))
    assert heard.text.decode() == "as on Windows\n"
    assert sorted(path.name for path in (instrument / "var/tmp").iterdir()) == [
        "a.txt",
        "copy.txt",
        "deep",
    ]
    assert [path.name for path in script.parent.iterdir()] == ["script.py"]  # no file "C:\..."


async def test_the_order_of_the_import_path(runner: Runner, script: Path, instrument: Path) -> None:
    """A mapped entry counts at its place in `sys.path`, neither before nor behind the others."""
    (script.parent / "single.py").touch()
    script.write_text(r"""
import sys
sys.path.append(r"C:\Instrument\scripts")
import single
print(single.__file__)
del sys.modules["single"]
sys.path.insert(0, sys.path.pop())
import single
print(single.__file__)
""")
    heard = await runner.run(script, path_map=path_map(instrument))
    ours, theirs = script.with_name("single.py"), instrument / "scripts/single.py"
    assert heard.text.decode() == f"{ours}\n{theirs}\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_children_of_multiprocessing(
    runner: Runner, script: Path, instrument: Path, method: str
) -> None:
    """Children of multiprocessing have the map too, also those with an interpreter of their own."""
    script.write_text(rf"""
import multiprocessing, os, sys
sys.path.insert(0, r"C:\Instrument\scripts")
def work(path):
    import single
    return os.listdir(path), single.__file__
if __name__ == "__main__":
    with multiprocessing.get_context("{method}").Pool(1) as pool:
        print(pool.map(work, [r"C:\Instrument"])[0])
""")
    heard = await runner.run(script, path_map=path_map(instrument))
    assert heard.text.decode() == f"(['scripts'], '{instrument}/scripts/single.py')\n"


async def test_an_interpreter_that_has_waited(
    runner: Runner, script: Path, instrument: Path
) -> None:
    """A script whose interpreter has imported modules ahead has its map too."""
    script.write_text(
        DOCUMENTATION + "import shutil\nprint(shutil.disk_usage(r'C:\\Instrument')[0] > 0)"
    )
    heard = await runner.run_after_a_check(script, ("shutil",), path_map=path_map(instrument))
    assert heard.text.decode().endswith("True\nTrue\n"), heard.text


@EVERY_PYTHON
async def test_a_script_that_does_not_ask(runner: Runner, script: Path, python: str) -> None:
    """Without the setting nothing is different.

    With it, scripts without such paths see no change.
    """
    script.write_text(
        "import os, posix, sys\nprint(os.stat is posix.stat, open, len(sys.path_hooks),"
        " '_bgrscrpt_paths' in sys.modules)\n"
    )
    heard = await runner.run(script, python)
    assert (heard.text, 0) == by_hand(script, python)
    script.write_text("import os\nopen('x', 'w').close()\nprint(os.listdir(), open(r'C:\\x'))")
    heard = await runner.run(script, python, path_map={r"C:\Instrument": "/nowhere"})
    assert (heard.text, heard.code) == by_hand(script, python)


async def test_what_is_not_there(runner: Runner, script: Path, instrument: Path) -> None:
    """The error names the host's file, and TRACEBACK ends with the script's line."""
    script.write_text(r"open(r'C:\Instrument\none.txt')")
    heard = await runner.run(script, path_map=path_map(instrument))
    assert heard.failure is not None
    assert heard.failure.error == (
        "FileNotFoundError: [Errno 2] No such file or directory:"
        f" '{instrument}/none.txt' (script.py:1)"
    )
    assert "_bgrscrpt_paths" not in heard.failure.traceback + heard.text.decode()


async def test_what_is_out_of_reach(runner: Runner, script: Path, instrument: Path) -> None:
    """What decision 12 says does not work, does not. If this fails, that page must change."""
    script.write_text(r"""
import importlib.util, io, os, pathlib, sqlite3, subprocess
SINGLE = r"C:\Instrument\scripts\single.py"
tries = {
    "FileIO": lambda: io.FileIO(SINGLE),
    "cwd": lambda: subprocess.run(["true"], cwd=r"C:\Instrument"),
    "parents": lambda: pathlib.Path(r"C:\Instrument\a\b").mkdir(parents=True),
    "spec": lambda: importlib.util.spec_from_file_location(
        "x", SINGLE).loader.get_data(SINGLE),
}
for name, attempt in tries.items():
    try:
        attempt()
    except FileNotFoundError:
        print(name)
sqlite3.connect(r"C:\Instrument\a.db").execute("CREATE TABLE t (a)")
print(os.path.exists(r"C:\Instrument\a.db"), os.path.dirname(r"C:\Instrument\a") == "")
""")
    heard = await runner.run(script, path_map=path_map(instrument))
    assert heard.text.decode() == "FileIO\ncwd\nparents\nspec\nFalse True\n"
