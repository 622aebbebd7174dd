"""An interpreter that waits: it checks the script, imports `preload`, and then runs the script."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bgrscrpt_ioc.process.messages import CheckedAhead, Message, Prepared, Said, ScriptBegan
from bgrscrpt_ioc.process.process import CHECK
from tests.process.scripts import CLEAN, Heard, Runner, by_hand, interpreters
from tests.process.torture import RAW, SCRIPTS, same_bytes, written

SUPPORTED = {version: path for version, path in interpreters().items() if version >= (3, 8)}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


async def said(heard: Heard, kind: type[Message]) -> str:
    """Wait for such a message, and take it; its error."""
    while not any(isinstance(each, kind) for each in heard.messages):
        heard.changed.clear()
        await heard.changed.wait()
    found = next(each for each in heard.messages if isinstance(each, kind))
    heard.messages.clear()
    assert isinstance(found, (CheckedAhead, Prepared))
    return found.error


@pytest.mark.parametrize("name", [*SCRIPTS, *RAW])
async def test_as_by_hand(tmp_path: Path, runner: Runner, name: str) -> None:
    """The torture set, by an interpreter that has waited: same output, same exit code."""
    script = written(tmp_path, name)
    output, code = by_hand(script)
    heard = await runner.run_after_a_check(script)
    assert heard.code == code
    assert same_bytes(name, heard.text, output), (heard.text[-2000:], output[-2000:])


async def test_checks(script: Path, runner: Runner) -> None:
    """It compiles the script that is on disk, as often as it is asked, and runs the newest."""
    script.write_text("x = = 1\n")
    process, waiting = runner.launch(script, mode="standby")
    process.tell(CHECK)
    assert await said(waiting, CheckedAhead) == "SyntaxError: invalid syntax (script.py:1)"
    script.write_text("print('new')\n")
    process.tell(CHECK)
    assert await said(waiting, CheckedAhead) == ""
    script.write_text("print('newest')\n")
    heard = await runner.go(process)
    assert heard.text == b"newest\n"


async def test_warnings_of_the_compiler_come_once(script: Path, runner: Runner) -> None:
    """What was compiled for the check is what runs: a SyntaxWarning is in the output once."""
    script.write_text("print(1 is 1)\n")
    heard = await runner.run_after_a_check(script)
    assert heard.text.count(b"SyntaxWarning") == 1
    assert heard.text.endswith(b"True\n")


def test_it_ends_with_the_ioc(script: Path, runner: Runner) -> None:
    """At EOF on its pipe, before it was told to go, it runs nothing."""
    script.write_text("print('never')\n")
    order = runner.order(script)
    done = subprocess.run(
        order.command, input=order.stdin("standby"), capture_output=True, env=CLEAN, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# --- modules that it imports ahead ---------------------------------------------------------------


@pytest.mark.parametrize("python", SUPPORTED.values(), ids=map(str, SUPPORTED))
async def test_modules_are_imported_ahead(script: Path, runner: Runner, python: str) -> None:
    """The modules are there when the script begins, found where the script would find them."""
    script.with_name("beside.py").write_text("VALUE = 23\n")
    script.write_text(
        "import sys\nprint(sorted({'beside', 'email.message'} & set(sys.modules)))\n"
        "import beside\nprint(beside.VALUE)\n"
    )
    heard = await runner.run_after_a_check(script, ("beside", "email.message"), python)
    assert heard.text == b"['beside', 'email.message']\n23\n"


async def test_modules_that_cannot_be_imported(script: Path, runner: Runner) -> None:
    """Each is named with its reason, the others are imported, and the script runs all the same."""
    script.with_name("bad.py").write_text("1/0\n")
    script.with_name("leaves.py").write_text("raise SystemExit\n")
    script.write_text("import sys\nprint('json' in sys.modules)\n")
    modules = ("nowhere", "bad", "leaves", "json")
    process, waiting = runner.launch(script, mode="standby", preload=modules)
    process.tell(CHECK)
    assert await said(waiting, Prepared) == (
        "nowhere cannot be imported: ModuleNotFoundError: No module named 'nowhere'; bad cannot be"
        " imported: ZeroDivisionError: division by zero; leaves cannot be imported: SystemExit"
    )
    heard = await runner.go(process)
    assert (heard.text, heard.code) == (b"True\n", 0)


async def test_a_bad_script_needs_no_modules(script: Path, runner: Runner) -> None:
    """Modules are imported for a script that compiles, and for no other."""
    script.with_name("noisy.py").write_text("print('imported')\n")
    script.write_text("x = = 1\n")
    process, waiting = runner.launch(script, mode="standby", preload=("noisy",))
    process.tell(CHECK)
    await said(waiting, CheckedAhead)
    script.write_text("print('run')\n")
    heard = await runner.go(process)
    assert heard.text == b"run\n"


async def test_what_modules_do_is_the_run_s(script: Path, runner: Runner) -> None:
    """A module's output, signal handlers and child processes are as if the script imported it."""
    script.with_name("busy.py").write_text(
        "import os, signal, subprocess\nprint('imported')\n"
        "signal.signal(signal.SIGINT, lambda *_: print('handled'))\n"
        "told = subprocess.check_output('echo $BGRSCRPT_RUN', shell=True, text=True)\n"
    )
    script.write_text(
        "import busy, os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
        "print(busy.told.strip() == os.environ['BGRSCRPT_RUN'], '~' in busy.told)\n"
    )
    heard = await runner.run_after_a_check(script, ("busy",))
    assert heard.text == b"imported\nhandled\nTrue False\n"
    assert [type(each) for each in heard.messages] == [ScriptBegan]


async def test_a_thread_of_a_module(script: Path, runner: Runner) -> None:
    """A module may start a thread and say something: both are there in the run."""
    script.with_name("talks.py").write_text(
        "import bgrscrpt, threading\nbgrscrpt.message('early')\n"
        "event = threading.Event()\nthread = threading.Thread(target=event.wait)\nthread.start()\n"
    )
    script.write_text("import talks\nprint(talks.thread.is_alive())\ntalks.event.set()\n")
    process, waiting = runner.launch(script, mode="standby", preload=("talks",))
    process.tell(CHECK)
    while not any(isinstance(each, Prepared) for each in waiting.messages):
        waiting.changed.clear()
        await waiting.changed.wait()
    assert Said("early") in waiting.messages
    heard = await runner.go(process)
    assert heard.text == b"True\n"


async def test_a_script_s_own_objects_end_as_usual(script: Path, runner: Runner) -> None:
    """What a script leaves in a circle is collected at its end, also after `preload`."""
    script.write_text(
        "class Circle:\n    def __init__(self):\n        self.me = self\n"
        "    def __del__(self):\n        print('collected')\n"
        "circle = Circle()\n"
    )
    heard = await runner.run_after_a_check(script, ("json",))
    assert heard.text == b"collected\n"


async def test_no_data_is_lost_in_modules(script: Path, runner: Runner) -> None:
    """Files that are open in globals of imported modules are flushed at the end."""
    script.with_name("keeps.py").write_text("early = open('early', 'w')\n")
    script.write_text(
        "import keeps\nkeeps.early.write('a')\nkeeps.late = open('late', 'w')\n"
        "keeps.late.write('b')\nkeeps.raw = open('raw', 'wb')\nkeeps.raw.write(b'c')\n"
    )
    await runner.run_after_a_check(script, ("keeps",))
    kept = [script.with_name(name).read_text() for name in ("early", "late", "raw")]
    assert kept == ["a", "b", "c"]
