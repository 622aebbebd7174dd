"""The torture set: what a script prints, and how it ends, is what `python -u script.py` does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bgrscrpt_ioc.process.messages import Registered, Said, ScriptBegan
from tests.process.scripts import Runner, by_hand, interpreters
from tests.process.torture import RAW, SCRIPTS, same_bytes, written

SUPPORTED = {version: path for version, path in interpreters().items() if version >= (3, 8)}
TELLING = (
    "exit_text",
    "chained_exceptions",
    "syntax_error",
    "keyboard_interrupt",
    "multiprocessing_spawn",
    "subprocesses_in_order",
    "main_module",
    "thread_outlives_main",
    "warnings",
)
SHADOWED = ("signal", "enum", "types", "functools", "warnings", "fcntl", "select", "json", "re")
NAMES = {
    "spaces and 'quotes'": 'it\'s a "script" $(x).py',
    "letters of any alphabet": "größe Ж 温度.py",
    "a leading dash": "-c.py",
    "no suffix": "script",
}


@pytest.mark.parametrize("name", [*SCRIPTS, *RAW])
async def test_as_by_hand(tmp_path: Path, runner: Runner, name: str) -> None:
    """Same output, same exit code."""
    script = written(tmp_path, name)
    output, code = by_hand(script)
    heard = await runner.run(script)
    assert heard.code == code
    assert same_bytes(name, heard.text, output), (heard.text[-2000:], output[-2000:])


@pytest.mark.parametrize("version", [v for v in SUPPORTED if v != sys.version_info[:2]])
@pytest.mark.parametrize("name", TELLING)
async def test_as_by_hand_with_other_interpreters(
    tmp_path: Path, runner: Runner, name: str, version: tuple[int, int]
) -> None:
    """The most telling of them with every other interpreter on this machine."""
    script, python = written(tmp_path, name), SUPPORTED[version]
    output, code = by_hand(script, python)
    heard = await runner.run(script, python)
    assert (heard.text, heard.code) == (output, code)


@pytest.mark.parametrize("kind", NAMES)
async def test_names_of_scripts(tmp_path: Path, runner: Runner, kind: str) -> None:
    """Whatever the file and its directory are called."""
    directory = tmp_path / NAMES[kind]
    directory.mkdir()
    script = directory / NAMES[kind]
    script.write_text("import sys\nprint(ascii((__file__, sys.argv[1:])))\n1 / 0\n")
    output, code = by_hand(script, sys.executable, "an arg", "")
    heard = await runner.run(script, sys.executable, "an arg", "")
    assert (heard.text, heard.code) == (output, code)


async def test_a_link_to_a_script(tmp_path: Path, runner: Runner) -> None:
    """The modules beside the file that a link leads to are found, as by hand."""
    target = tmp_path / "target"
    target.mkdir()
    (target / "sibling.py").write_text("VALUE = 1\n")
    (target / "real.py").write_text("import sibling, sys\nprint(sys.path[0], __file__)\n")
    link = tmp_path / "link.py"
    link.symlink_to(target / "real.py")
    output, code = by_hand(link)
    heard = await runner.run(link)
    assert (heard.text, heard.code) == (output, code)


async def test_a_segfault(tmp_path: Path, runner: Runner) -> None:
    """It ends by the same signal; faulthandler adds where, which plain Python does not."""
    script = tmp_path / "script.py"
    script.write_text("import ctypes\nprint('a', flush=True)\nctypes.string_at(0)\n")
    _, code = by_hand(script)
    heard = await runner.run(script)
    assert heard.code == code
    assert heard.text.startswith(b"a\nFatal Python error: Segmentation fault\n")
    assert f'File "{script}", line 3'.encode() in heard.text


async def test_an_abort(tmp_path: Path, runner: Runner) -> None:
    """As a segfault; the dump has one frame more than by `-X faulthandler`: the bootstrap's."""
    script = tmp_path / "script.py"
    script.write_text("import os\nprint('a', flush=True)\nos.abort()\n")
    _, code = by_hand(script)
    heard = await runner.run(script)
    assert heard.code == code
    assert heard.text.startswith(b"a\nFatal Python error: Aborted\n")


def loaded_at_start(python: str) -> set[str]:
    """What an interpreter has imported before any script: with some, `site` needs `enum`."""
    command = [python, "-I", "-c", "import sys; print(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("version", SUPPORTED)
async def test_modules_with_names_of_the_standard_library(
    tmp_path: Path, runner: Runner, version: tuple[int, int]
) -> None:
    """A script gets the modules beside it, whatever they are called: we have imported none."""
    names = sorted(set(SHADOWED) - loaded_at_start(SUPPORTED[version]))
    for name in names:
        (tmp_path / f"{name}.py").write_text(f"X = 'my {name}'\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import bgrscrpt\nbgrscrpt.message('x')\nfrom server_common.helpers import"
        " register_ioc_start\nregister_ioc_start('X', {'PV': {'type': 'ai'}})\n"
        + "".join(f"import {name}\nprint({name}.X)\n" for name in names)
    )
    heard = await runner.run(script, SUPPORTED[version])
    assert heard.text.decode() == "".join(f"my {name}\n" for name in names)
    assert [type(each) for each in heard.messages] == [ScriptBegan, Said, Registered]


@pytest.mark.parametrize("name", ["traceback", "token"])
async def test_an_exception_beside_a_module_that_telling_it_needs(
    tmp_path: Path, runner: Runner, name: str
) -> None:
    """A `traceback.py` beside the script is not imported in order to tell its error."""
    (tmp_path / f"{name}.py").write_text("print('imported')\n")
    script = tmp_path / "script.py"
    script.write_text("1 / 0\n")
    heard = await runner.run(script)
    assert b"imported" not in heard.text
    assert heard.failure is not None
    assert heard.failure.error == "ZeroDivisionError: division by zero (script.py:1)"
    assert heard.failure.traceback.encode() == heard.text


async def test_what_is_inherently_different(tmp_path: Path, runner: Runner) -> None:
    """The stack ends in a frame of ours, the interpreter is isolated, the session its own."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\nframe, depth = sys._getframe(), 0\n"
        "while frame:\n    frame, depth = frame.f_back, depth + 1\n"
        "print(depth, sys.flags.isolated, os.getsid(0) == os.getpid())\n"
    )
    output, _ = by_hand(script)
    heard = await runner.run(script)
    assert output == b"1 0 False\n"
    assert heard.text == b"2 1 True\n"
