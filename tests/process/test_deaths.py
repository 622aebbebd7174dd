"""The death of a thread or an asyncio task is reported, and the script notices nothing of that."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bgrscrpt_ioc.lifecycle.events import Severity, State
from bgrscrpt_ioc.process.messages import ThreadDied
from tests.process.scripts import Heard, Runner, by_hand, interpreters
from tests.process.supervised import Bench

ALL = {version: path for version, path in interpreters().items() if version >= (3, 8)}

RAISE = 'raise ValueError("no more")'
THREAD = """
import threading
def work():
    raise ValueError("no more")
thread = threading.Thread(target=work, name="Poller")
"""
DIES = THREAD + "thread.start()\nthread.join()\n"
TASK = """
import asyncio
async def work():
    raise ValueError("no more")
async def main():
    asyncio.create_task(work(), name="Poller")
    await asyncio.sleep(0.01)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def deaths(heard: Heard) -> list[tuple[str, str]]:
    """Who has died, and of what."""
    return [(each.who, each.error) for each in heard.messages if isinstance(each, ThreadDied)]


@pytest.mark.parametrize("version", ALL, ids=str)
async def test_with_every_python(version: tuple[int, int], script: Path, runner: Runner) -> None:
    """The death of a thread and of a task is reported with name and place.

    The output is unchanged.
    """
    script.write_text(DIES + TASK.replace("work()", "fail()") + "asyncio.run(main())\n")
    heard = await runner.run(script, ALL[version])
    error = "ValueError: no more (script.py:{})"
    assert deaths(heard) == [
        ("thread Poller", error.format(4)),
        ("task Poller", error.format(11)),
    ]
    output, code = by_hand(script, ALL[version])
    assert heard.code == code == 0
    addresses = (b"0x", b"coro=<")  # of the task
    same = [
        [line for line in text.splitlines() if not any(each in line for each in addresses)]
        for text in (heard.text, output)
    ]
    assert same[0] == same[1]
    (thread, _) = [each for each in heard.messages if isinstance(each, ThreadDied)]
    assert thread.traceback.startswith("Traceback (most recent call last):\n")
    assert thread.traceback.endswith(
        f'  File "{script}", line 4, in work\n    {RAISE}\nValueError: no more\n'
    )


QUIET = {
    "a hook of the script": THREAD
    + "threading.excepthook = lambda args: print('mine')\nthread.start(); thread.join()\n",
    "sys.exit in a thread": THREAD.replace('ValueError("no more")', "SystemExit(3)")
    + "thread.start(); thread.join()\n",
    "a handler of the script": TASK
    + "async def mine():\n"
    "    asyncio.get_running_loop().set_exception_handler(lambda *_: print('mine'))\n"
    "    await main()\nasyncio.run(mine())\n",
    "a task whose exception is taken": TASK.replace("asyncio.create", "task = asyncio.create")
    + "    try:\n        await task\n    except ValueError:\n        print('taken')\n"
    "asyncio.run(main())\n",
    "a task that is cancelled": TASK.replace(RAISE, "await asyncio.sleep(9)")
    + "asyncio.run(main())\n",
    "a lost connection": TASK
    + "async def lost():\n"
    "    asyncio.get_running_loop().call_exception_handler(\n"
    "        {'message': 'lost', 'exception': ValueError(), 'transport': None})\n"
    "asyncio.run(lost())\n",
    "a forked child": DIES.replace("thread.start()", "import os\nif not os.fork(): thread.start()")
    .replace("thread.join()", "if thread.ident: thread.join(); os._exit(0)\nos.wait()"),
    "an executor": "from concurrent.futures import ThreadPoolExecutor as E\n"
    "with E() as pool: print(pool.submit(int, 'x').exception())\n",
}  # fmt: skip


@pytest.mark.parametrize("name", QUIET)
async def test_what_is_no_death(name: str, script: Path, runner: Runner) -> None:
    """The script's own hooks have precedence; a thread that ends normally is no death."""
    script.write_text(QUIET[name])
    heard = await runner.run(script)
    assert deaths(heard) == []
    assert heard.code == 0, heard.text
    if "script" in name:
        assert heard.text == b"mine\n"


async def test_a_hook_that_calls_the_one_before(script: Path, runner: Runner) -> None:
    """If a hook of the script calls the hook before it, the death is reported."""
    script.write_text(
        THREAD + "before = threading.excepthook\n"
        "threading.excepthook = lambda args: (print('mine'), before(args))\n"
        "thread.start(); thread.join()\n"
    )
    heard = await runner.run(script)
    assert deaths(heard) == [("thread Poller", "ValueError: no more (script.py:4)")]
    assert heard.text.startswith(b"mine\n")


async def test_callbacks(script: Path, runner: Runner) -> None:
    """An exception in a callback of a loop is reported, because what should follow does not."""
    script.write_text(
        "import asyncio\nasync def main():\n"
        "    asyncio.get_running_loop().call_soon(int, 'x')\n    await asyncio.sleep(0.01)\n"
        "asyncio.run(main())\n"
    )
    (death,) = deaths(await runner.run(script))
    assert death[0] == "a callback or future of asyncio"
    assert death[1].startswith("ValueError: invalid literal for int()")


async def test_many_deaths(script: Path, runner: Runner) -> None:
    """Of very many deaths only a few are reported, with a count of the others."""
    text = "import time\nfor _ in range(300):\n    threading.Thread(target=work).start()\n"
    text += "time.sleep(2)\nthread.start()\n"
    script.write_text(THREAD + text)
    heard = await runner.run(script)
    told = [each for each in heard.messages if isinstance(each, ThreadDied)]
    assert len(told) < 30
    assert sum(1 + each.more for each in told) == 301


async def test_imports_nothing_for_a_script_that_does_not(script: Path, runner: Runner) -> None:
    """A script without threads or asyncio imports neither, nor what watches for deaths."""
    script.write_text(
        "import sys\n"
        "print({'threading', 'asyncio', 'traceback', '_bgrscrpt_death'} & {*sys.modules})\n"
    )
    assert (await runner.run(script)).text == b"set()\n"


@pytest.mark.parametrize("name", ["threading", "asyncio.base_events", "multiprocessing.spawn"])
async def test_leaves_no_trace(name: str, script: Path, runner: Runner) -> None:
    """A module that is watched has its usual loader, so its source can be read."""
    script.write_text(
        f"import sys, inspect\nimport {name}\nmodule = sys.modules['{name}']\n"
        "print(type(module.__loader__), module.__spec__.loader is module.__loader__,\n"
        "      module.__spec__.origin, len(inspect.getsource(module)))\n"
    )
    output, _ = by_hand(script)
    assert (await runner.run(script)).text == output


async def test_modules_of_the_script_with_these_names(script: Path, runner: Runner) -> None:
    """A script may have its own `threading.py` or `traceback.py` beside it."""
    script.with_name("threading.py").write_text("print('mine')\n")
    script.write_text("import threading\n")
    by_us, alone = (await runner.run(script)).text, by_hand(script)[0]
    # Python 3.13 adds this hint where it put the script's directory on the path by itself.
    assert by_us == re.sub(rb" \(consider renaming .*\)", b"", alone)
    script.with_name("threading.py").unlink()
    script.with_name("traceback.py").write_text("")
    script.write_text(DIES)
    assert deaths(await runner.run(script)) == [
        ("thread Poller", "ValueError: no more (script.py:4)")
    ]


STAYS = DIES + "import time\nprint('goes on', flush=True)\ntime.sleep(1000)\n"


async def test_shown(bench: Bench) -> None:
    """ERROR, TRACEBACK and STATUS:MSG show the death.

    STATUS is in MINOR alarm until the run ends.
    """
    supervisor = bench.supervise(STAYS, healthy_after=0.2)
    supervisor.begin()
    await bench.readings.until("ERROR", "thread Poller: ValueError: no more (script.py:4)")
    what = "thread Poller died of ValueError: no more (script.py:4)"
    await bench.readings.until("STATUS:MSG", what)
    assert bench.readings["STATUS"] == (State.RUNNING, Severity.MINOR)
    assert "in work\n" in bench.readings.value("TRACEBACK")
    await bench.readings.until("LOG", lambda log: "goes on" in log)
    await supervisor.stop("a@h")
    assert bench.readings["STATUS"] == (State.STOPPED, Severity.NO_ALARM)
    assert bench.readings.value("ERROR").startswith("thread Poller")


async def test_deaths_without_end(bench: Bench) -> None:
    """If threads die all the time, the log has few lines, and STATUS:MSG has the first death."""
    text = THREAD + (
        "import time\nfor number in range(30):\n"
        "    threading.Thread(target=work, name=str(number)).start()\n    time.sleep(0.02)\n"
        "print('done', flush=True)\ntime.sleep(1000)\n"
    )
    supervisor = bench.supervise(text)
    supervisor.begin()
    await bench.readings.until("LOG", lambda log: log.endswith("done"))
    shown = [value for name, value in bench.readings.history if name == "ERROR"]
    await bench.readings.until("ERROR", lambda error: error not in shown[:1])
    told = [value for name, value in bench.readings.history if name == "STATUS:MSG"]
    died = [value for value in told if "died" in value]
    assert died[0].endswith(" died of ValueError: no more (script.py:4)")
    assert len(died) <= 3  # one every 10 s, on a machine that may be busy


async def test_as_a_failure(bench: Bench) -> None:
    """With thread_death = "fail" the run is stopped, `finally:` runs, and it is restarted."""
    text = (
        "import time\n"
        + THREAD
        + "try:\n    thread.start()\n    time.sleep(1000)\nfinally:\n    print('finally')\n"
    )
    supervisor = bench.supervise(text, thread_death="fail", start_limit=2)
    supervisor.begin()
    await bench.readings.until("STATUS", State.FAILED)
    what = "thread Poller died of ValueError: no more (script.py:5)"
    assert bench.readings.value("STATUS:MSG") == f"{what}; gave up after 2 failures in a row"
    assert bench.readings.value("ERROR") == "thread Poller: ValueError: no more (script.py:5)"
    assert bench.readings.value("LOG").count("finally") == 2
    assert bench.readings.value("RESTARTS") == 1


async def test_ignored(bench: Bench) -> None:
    """With thread_death = "ignore" only ERROR shows the death."""
    supervisor = bench.supervise(STAYS, thread_death="ignore")
    supervisor.begin()
    await bench.readings.until("ERROR", lambda error: error.startswith("thread Poller"))
    await bench.readings.until("LOG", lambda log: "goes on" in log)
    assert bench.readings["STATUS"] == (State.RUNNING, Severity.NO_ALARM)
    assert bench.readings.value("STATUS:MSG") == "started by the IOC at its start"


async def test_deaths_of_a_run_that_is_stopped(bench: Bench) -> None:
    """Threads that die because a STOP ends the script are not shown as errors."""
    text = THREAD + (
        "import sys, time\n"
        "over = False\n"
        "def work():\n    while not over: time.sleep(0.01)\n"
        "    raise ValueError\n"
        "thread = threading.Thread(target=work)\nthread.start()\n"
        "try:\n    sys.stdout.write('up\\n')\n    time.sleep(1000)\n"
        "finally:\n    over = True\n    thread.join()\n"
    )
    supervisor = bench.supervise(text)
    supervisor.begin()
    await bench.readings.until("LOG", lambda log: "up" in log)
    await supervisor.stop("a@h")
    assert "ValueError" in bench.readings.value("LOG")
    assert "ERROR" not in bench.readings
