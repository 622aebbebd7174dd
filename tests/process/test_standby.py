"""An interpreter that waits with modules imported: a script cannot tell it from a new one."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from bgrscrpt_ioc.messages import CheckedAhead, Prepared, ScriptBegan, Unprepared
from bgrscrpt_ioc.process import CHECK
from tests.process.scripts import CLEAN, Heard, Runner, by_hand, interpreters
from tests.process.test_torture import same_bytes, written
from tests.process.torture import RAW, SCRIPTS

STANDARD = ("json", "logging.handlers", "multiprocessing.pool", "subprocess", "asyncio", "ctypes")
TELL_MODULES = """
import sys
before = sorted(sys.modules)
import {module}
print([before, sorted(sys.modules)])
"""
OURS = {"bgrscrpt", "_bgrscrpt_hook", "_bgrscrpt_start", "_bgrscrpt_standby", "_bgrscrpt_preload"}
SUPPORTED = {version: path for version, path in interpreters().items() if version >= (3, 8)}


@pytest.mark.parametrize("name", [*SCRIPTS, *RAW])
async def test_as_by_hand(tmp_path: Path, runner: Runner, name: str) -> None:
    """The torture set, from a spare: same output, same exit code as by hand."""
    script = written(tmp_path, name)
    output, code = by_hand(script)
    heard = await runner.run_from_spare(script, STANDARD)
    assert heard.code == code
    assert same_bytes(name, heard.text, output), (heard.text[-2000:], output[-2000:])


@pytest.mark.parametrize("python", SUPPORTED.values(), ids=map(str, SUPPORTED))
@pytest.mark.parametrize("module", ["json", "email.message", "concurrent.futures", "sqlite3"])
async def test_modules_as_by_an_import(
    tmp_path: Path, runner: Runner, module: str, python: str
) -> None:
    """`sys.modules` has of what was imported ahead what the script's imports would have brought."""
    script = tmp_path / "script.py"
    script.write_text(TELL_MODULES.format(module=module))
    plain = await runner.run(script, python)
    heard = await runner.run_from_spare(script, (*STANDARD, "email.message", "sqlite3"), python)
    warm, cold = (
        [set(each) - OURS for each in ast.literal_eval(one.text.decode())] for one in (heard, plain)
    )
    assert warm[0] == cold[0]
    assert warm[1] == cold[1]


async def test_libraries_as_by_an_import(tmp_path: Path, runner: Runner) -> None:
    """So it is with numpy, whose parts in C import more; and its random numbers are its own."""
    script = tmp_path / "script.py"
    script.write_text(TELL_MODULES.format(module="numpy") + "print(numpy.random.random())\n")
    plain = await runner.run(script)
    first, second = [await runner.run_from_spare(script, ("numpy", "asyncio")) for _ in range(2)]
    modules, number = first.text.splitlines()
    assert ast.literal_eval(modules.decode())[1] == sorted(
        {*ast.literal_eval(plain.text.splitlines()[0].decode())[1], *OURS}
    )
    assert len({number, second.text.splitlines()[1], plain.text.splitlines()[1]}) == 3


async def test_the_environment_is_the_script_s(tmp_path: Path, runner: Runner) -> None:
    """What an import does to the environment is done when the script imports, and not before."""
    (tmp_path / "meddler.py").write_text(
        "import os\nos.environ['MEDDLED'] = 'yes'\nos.environ.pop('KEPT')\n"
    )
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nprint('MEDDLED' in os.environ, 'KEPT' in os.environ)\nimport meddler\n"
        "print('MEDDLED' in os.environ, 'KEPT' in os.environ)\n"
    )
    heard = await runner.run_from_spare(script, ("meddler",), env={"KEPT": "1"})
    assert heard.text == b"False True\nTrue False\n"


async def test_what_an_import_can_not_have_seen_is_said(tmp_path: Path, runner: Runner) -> None:
    """A variable set before the import, as OMP_NUM_THREADS, came too late: the log says so."""
    script = tmp_path / "script.py"
    script.write_text("import os\nos.environ['OMP_NUM_THREADS'] = '1'\nimport json\n")
    heard = await runner.run_from_spare(script, ("json",))
    assert heard.text.startswith(b"bgrscrpt: OMP_NUM_THREADS changed after json had been imported")


async def test_a_script_s_own_modules_win(tmp_path: Path, runner: Runner) -> None:
    """A module that the script would find first, in a directory it inserts, is the one it gets."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "json.py").write_text("mine = True\n")
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(own)!r})\nimport json, logging\n"
        "print(json.mine, logging.__file__ == sys.modules['logging'].__spec__.origin)\n"
    )
    heard = await runner.run_from_spare(script, ("json", "logging"))
    assert heard.text == b"True True\n"


async def test_a_module_given_is_a_module_like_any(tmp_path: Path, runner: Runner) -> None:
    """Its spec and loader are its own; it can be reloaded, removed and imported again."""
    (tmp_path / "sibling.py").write_text("import time\nstamp = time.perf_counter_ns()\n")
    script = tmp_path / "script.py"
    script.write_text("""
import importlib, importlib.util, sys
found = importlib.util.find_spec("sibling")
print("sibling" in sys.modules, found.origin == __file__.replace("script", "sibling"))
import sibling
print(sibling.__spec__.loader is sibling.__loader__, type(sibling.__loader__).__name__)
first = sibling.stamp
print(importlib.reload(sibling) is sibling, sibling.stamp > first)
del sys.modules["sibling"]
import sibling as again
print(again is not sibling, sys.modules["sibling"] is again)
""")
    heard = await runner.run_from_spare(script, ("sibling",))
    lines = ["False True", "True SourceFileLoader", "True True", "True True"]
    assert heard.text.decode().split("\n") == [*lines, ""]


async def test_threads_may_import_at_once(tmp_path: Path, runner: Runner) -> None:
    """Whoever is first, all threads get the same module, and it is imported once."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("import shared\n")
    (tmp_path / "shared.py").write_text("import os\nos.write(2, b'imported\\n')\n")
    script = tmp_path / "script.py"
    script.write_text("""
import _thread, time
done = []
def work(name):
    done.append(id(__import__(name).shared))
for name in ("one", "two") * 20:
    _thread.start_new_thread(work, (name,))
while len(done) < 40:
    time.sleep(0.001)
print(len(set(done)))
""")
    heard = await runner.run_from_spare(script, ("one", "two"))
    assert heard.text == b"imported\n1\n"


REFUSED = {
    "nowhere": ("", "nowhere cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
    "bad": ("1/0\n", "bad cannot be imported: ZeroDivisionError: division by zero"),
    "busy": (
        "import threading, time\nthreading.Thread(target=time.sleep, args=[99]).start()\n",
        "busy starts a thread when it is imported",
    ),
    "handler": (
        "import signal\nsignal.signal(signal.SIGTERM, print)\n",
        "handler handles a signal when it is imported",
    ),
}


@pytest.mark.parametrize("module", REFUSED)
async def test_modules_that_cannot_be_hidden(tmp_path: Path, runner: Runner, module: str) -> None:
    """What fails, or leaves what the script would notice, is not imported ahead; it says why."""
    source, why = REFUSED[module]
    if source:
        (tmp_path / f"{module}.py").write_text(source)
    script = tmp_path / "script.py"
    script.write_text("print('never')\n")
    _, heard = runner.launch(script, mode="standby", preload=("json", module))
    await heard.until("is_cleared")
    assert heard.messages == [Unprepared(why)]
    assert (heard.code, heard.text) == (0, b"")


async def test_changed_files(tmp_path: Path, runner: Runner) -> None:
    """A module that has changed on disk meanwhile is imported anew, by the same process."""
    module, script = tmp_path / "module.py", tmp_path / "script.py"
    module.write_text("VALUE = 1\n")
    script.write_text("import os, module\nprint(os.getpid(), module.VALUE)\n")
    process, waiting = runner.launch(script, mode="standby", preload=("module",))
    await said(waiting, Prepared)
    module.write_text("VALUE = 23\n")
    heard = await runner.go(process)
    assert heard.text.decode() == f"{process.pid} 23\n"
    assert [type(each) for each in heard.messages] == [ScriptBegan]


async def test_checks(tmp_path: Path, runner: Runner) -> None:
    """It compiles the script that is on disk, as often as it is asked, and runs the newest."""
    script = tmp_path / "script.py"
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


async def said(heard: Heard, kind: type[Prepared] | type[CheckedAhead]) -> object:
    """Wait for such a message, and take it."""
    while not any(isinstance(each, kind) for each in heard.messages):
        heard.changed.clear()
        await heard.changed.wait()
    found = next(each for each in heard.messages if isinstance(each, kind))
    heard.messages.clear()
    return found.modules if isinstance(found, Prepared) else found.error


def test_it_ends_with_the_ioc(tmp_path: Path, runner: Runner) -> None:
    """At EOF on its pipe, before it was told to go, it runs nothing."""
    script = tmp_path / "script.py"
    script.write_text("print('never')\n")
    order = runner.order(script)
    done = subprocess.run(
        order.command, input=order.order("standby"), capture_output=True, env=CLEAN, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b'={"kind":"prepared","modules":0}\n')


async def test_priority(tmp_path: Path, runner: Runner) -> None:
    """The script, and the threads that a library has started, run at the usual priority."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, numpy\n"
        "print({os.sched_getscheduler(int(each)) for each in os.listdir('/proc/self/task')})\n"
    )
    heard = await runner.run_from_spare(script, ("numpy",))
    assert heard.text.decode() == f"{ {os.SCHED_OTHER} }\n"
