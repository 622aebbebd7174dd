"""The contents of the wheel, and the command `bgrscrpt-ioc files`."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

from tests.installed.conftest import ROOT, Installed

# A directory of the source, and where the wheel has it.
SHIPPED = {
    "bgrscrpt_ioc": "bgrscrpt_ioc",
    "by_hand/bgrscrpt": "bgrscrpt",
    "db": "bgrscrpt_ioc/db",
    "scripts_examples": "bgrscrpt_ioc/scripts_examples",
}


def test_the_wheel_is_the_tree(distributions: tuple[Path, Path]) -> None:
    """The wheel has each file of the package once and unchanged, and no other file."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *SHIPPED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    expected = {
        name.replace(source, target, 1): ROOT / name
        for name in listed
        for source, target in SHIPPED.items()
        if name.startswith(source + "/") and (ROOT / name).exists()
    }
    with ZipFile(distributions[0]) as wheel:
        found = Counter(name for name in wheel.namelist() if ".dist-info/" not in name)
        assert found == Counter(expected.keys())
        changed = [name for name, path in expected.items() if wheel.read(name) != path.read_bytes()]
    assert not changed
    assert "bgrscrpt_ioc/child/bgrscrpt.py" in found


def test_files(from_wheel: Installed, tmp_path: Path) -> None:
    """`files` lists the files for other tools with their places, and copies them."""

    def run(*arguments: str | Path) -> list[str]:
        command = [from_wheel.command, "files", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        return done.stdout.splitlines()

    names = [line.split()[0] for line in run()[1:]]
    assert names == [
        "bgrscrpt.bob",
        "bgrscrpt_overview.bob",
        "bgrscrpt.template",
        "iocdb.sql",
        "scripts_examples",
    ]
    for name in names:
        (path,) = run(name)
        assert Path(path).exists()
        assert from_wheel.home in Path(path).parents
    assert run("iocdb.sql", "--write", "sql") == ["sql/iocdb.sql"]
    assert (tmp_path / "sql/iocdb.sql").read_bytes() == (ROOT / "db/iocdb.sql").read_bytes()
    assert run("--write", tmp_path / "all") == [str(tmp_path / "all" / name) for name in names]
    demo = tmp_path / "all" / "scripts_examples" / "demo" / "demo.toml"
    assert demo.read_bytes() == (ROOT / "scripts_examples/demo/demo.toml").read_bytes()
    assert not list((tmp_path / "all").rglob("__pycache__"))


def test_files_that_cannot_be_written(from_wheel: Installed, tmp_path: Path) -> None:
    """A directory that cannot be made is one line on stderr and exit code 1."""
    (tmp_path / "file").touch()
    command = [from_wheel.command, "files", "iocdb.sql", "--write", tmp_path / "file" / "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "iocdb.sql: cannot be written: Not a directory" in done.stderr


def test_the_module_for_scripts_run_by_hand(from_wheel: Installed, tmp_path: Path) -> None:
    """`import bgrscrpt` by hand has the functions that it has under the IOC, and is typed."""
    code = (
        "import bgrscrpt, bgrscrpt_ioc.child.bgrscrpt as real, pathlib\n"
        "assert bgrscrpt.__all__ == real.__all__\n"
        "assert all(getattr(bgrscrpt, name) is getattr(real, name) for name in real.__all__)\n"
        "bgrscrpt.alive(); bgrscrpt.message('x'); bgrscrpt.progress(1)\n"
        "assert pathlib.Path(bgrscrpt.__file__).with_name('py.typed').exists()\n"
    )
    subprocess.run([from_wheel.python, "-c", code], cwd=tmp_path, check=True)
