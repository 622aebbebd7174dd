"""`register_ioc_start` reaches the IOC from wherever and however a script calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrscrpt_ioc.process.messages import Progressed, Registered
from tests.process.scripts import Heard, Runner, interpreters

SUPPORTED = {version: path for version, path in interpreters().items() if version >= (3, 8)}
PREAMBLE = """
import os, sys
root = os.environ["KIT_ROOT"]
sys.path.insert(0, os.path.abspath(os.path.join(root, "ISIS", "inst_servers", "master")))
"""
CALLS = {
    "from helpers import": "from server_common.helpers import register_ioc_start as r\nr('X')",
    "import as": "import server_common.helpers as h\nh.register_ioc_start('X')",
    "import": "import server_common.helpers\nserver_common.helpers.register_ioc_start('X')",
    "from package import": "from server_common import helpers\nhelpers.register_ioc_start('X')",
    "star": "from server_common.helpers import *\nregister_ioc_start('X')",
    "importlib": (
        "import importlib\nimportlib.import_module('server_common.helpers').register_ioc_start('X')"
    ),
}
REAL_HELPERS = """
print("the real module is loaded")
import genie_python_that_is_not_there
"""
WORKING_HELPERS = """
print("the real module is loaded")
from .other import VALUE
MACROS = {"$(MYPVPREFIX)": "TE:"}
BLOCK_PREFIX = VALUE
_hidden = 1
def register_ioc_start(*args):
    raise RuntimeError("the original must never be called")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.py"


def real(directory: Path, helpers: str = WORKING_HELPERS) -> Path:
    """Make a `server_common` that is built like the real one, in this directory."""
    package = directory / "server_common"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "helpers.py").write_text(helpers)
    (package / "other.py").write_text("VALUE = 'CS:SB:'\n")
    return directory


def names(heard: Heard) -> list[str]:
    """Return the names that were registered."""
    return [each.ioc_name for each in heard.messages if isinstance(each, Registered)]


@pytest.mark.parametrize("way", CALLS)
@pytest.mark.parametrize("where", ["nowhere", "kit", "site-packages"])
async def test_however_it_is_imported(
    script: Path, runner: Runner, way: str, where: str, tmp_path: Path
) -> None:
    """All ways to import it work, with the real package in the kit, installed, or missing."""
    script.write_text(PREAMBLE + CALLS[way] + "\nprint('goes on')\n")
    env, search_path = {}, ()
    if where == "kit":
        real(tmp_path / "kit" / "ISIS" / "inst_servers" / "master")
        env = {"KIT_ROOT": str(tmp_path / "kit")}
    elif where == "site-packages":
        search_path = (str(real(tmp_path / "site")),)
    heard = await runner.run(script, env=env, search_path=search_path)
    assert names(heard) == ["X"]
    assert heard.text.endswith(b"goes on\n")
    loaded = b"the real module is loaded" in heard.text
    assert loaded == (way == "star" and where != "nowhere")  # only when it is asked for


@pytest.mark.parametrize("ending", ["/", "\\", ""])
async def test_kit_root_as_windows_writes_it(
    script: Path, runner: Runner, ending: str, tmp_path: Path
) -> None:
    """KIT_ROOT may end in a slash, a backslash or nothing."""
    real(tmp_path / "kit" / "ISIS" / "inst_servers" / "master")
    script.write_text(PREAMBLE + CALLS["from helpers import"])
    heard = await runner.run(script, env={"KIT_ROOT": str(tmp_path / "kit") + ending})
    assert (names(heard), heard.code) == (["X"], 0)


async def test_kit_root_unset(script: Path, runner: Runner) -> None:
    """Without a kit, KIT_ROOT and EPICS_KIT_ROOT name a directory that exists and is empty."""
    script.write_text(
        PREAMBLE + CALLS["import"] + "\nassert os.path.isdir(os.environ['EPICS_KIT_ROOT'])\n"
    )
    heard = await runner.run(script)
    assert (names(heard), heard.code) == (["X"], 0)


async def test_other_names_are_the_real_ones(script: Path, runner: Runner, tmp_path: Path) -> None:
    """MACROS and other names come from the real module, which is loaded when first used."""
    script.write_text(
        PREAMBLE
        + "from server_common.helpers import register_ioc_start\nprint('not yet')\n"
        + "from server_common.helpers import MACROS, BLOCK_PREFIX\nimport server_common.other\n"
        + "print(MACROS, BLOCK_PREFIX, server_common.other.VALUE)\nregister_ioc_start('X')\n"
    )
    heard = await runner.run(script, search_path=(str(real(tmp_path / "site")),))
    assert names(heard) == ["X"]
    lines = heard.text.decode().splitlines()
    assert lines[:2] == ["not yet", "the real module is loaded"]
    assert lines[2] == "{'$(MYPVPREFIX)': 'TE:'} CS:SB: CS:SB:"


async def test_what_the_real_module_lacks(script: Path, runner: Runner, tmp_path: Path) -> None:
    """A real module that cannot be loaded matters only to scripts that use its names."""
    site = str(real(tmp_path / "site", REAL_HELPERS))
    script.write_text(PREAMBLE + CALLS["from helpers import"] + "\nprint('fine')\n")
    heard = await runner.run(script, search_path=(site,))
    assert (names(heard), heard.text) == (["X"], b"fine\n")
    script.write_text("from server_common.helpers import MACROS\n")
    heard = await runner.run(script, search_path=(site,))
    assert b"No module named 'genie_python_that_is_not_there'" in heard.text


async def test_no_real_module_at_all(script: Path, runner: Runner) -> None:
    """If the real module is missing, its names raise an ImportError that says so."""
    script.write_text("from server_common.helpers import MACROS\n")
    heard = await runner.run(script)
    assert b"ImportError: cannot import name 'MACROS' from 'server_common.helpers'" in heard.text


@pytest.mark.parametrize(
    "body",
    [
        "r('X'); r('X')",
        "import threading as t\nt = t.Thread(target=r, args=('X',)); t.start(); t.join()\nr('X')",
        "import atexit; atexit.register(r, 'X'); r('X')",
        "r('X'); r('X'); raise ValueError",
        "import os\nif os.fork() == 0:\n    r('X'); os._exit(0)\nos.wait(); r('X')",
    ],
)
async def test_wherever_it_is_called(script: Path, runner: Runner, body: str) -> None:
    """It works when called twice, in a thread, at exit, before an exception, in a forked child."""
    script.write_text("from server_common.helpers import register_ioc_start as r\n" + body)
    heard = await runner.run(script)
    calls = [each for each in heard.messages if isinstance(each, Registered)]
    assert [each.ioc_name for each in calls] == ["X", "X"]
    assert len({each.pid for each in calls}) == 1  # the script's own, also from a child
    assert {each.exe_path for each in calls} == {str(script)}


@pytest.mark.parametrize("version", SUPPORTED, ids=lambda v: "{}.{}".format(*v))
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
async def test_children_of_multiprocessing(
    script: Path, runner: Runner, method: str, version: tuple[int, int]
) -> None:
    """It works in a child with a new interpreter, with every Python of this machine."""
    script.write_text(
        "import multiprocessing as mp\n"
        "from server_common.helpers import register_ioc_start\n"
        "if __name__ == '__main__':\n"
        f"    context = mp.get_context('{method}')\n"
        "    child = context.Process(target=register_ioc_start, args=('X',))\n"
        "    child.start(); child.join(); print(child.exitcode)\n"
    )
    heard = await runner.run(script, SUPPORTED[version])
    assert (heard.text, names(heard)) == (b"0\n", ["X"])


async def test_pv_database(script: Path, runner: Runner) -> None:
    """The PVs of the call arrive, and values that JSON does not have as their text."""
    script.write_text(
        "from server_common.helpers import register_ioc_start\n"
        "pvs = {'A': {'type': 'ai', 'description': 'größe', 'info_field': {'archive': ''}},\n"
        "       'B': {'type': int}}\n"
        "print(register_ioc_start('X', pv_database=pvs, prefix='TE:'))\n"
    )
    heard = await runner.run(script)
    (call,) = (each for each in heard.messages if isinstance(each, Registered))
    assert call.prefix == "TE:"
    expected = {"type": "ai", "description": "größe", "info_field": {"archive": ""}}
    assert call.pv_database == {"A": expected, "B": {"type": "<class 'int'>"}}
    assert heard.text == b"None\n"


async def test_a_call_that_cannot_be_forwarded(script: Path, runner: Runner) -> None:
    """If a call cannot be sent to the IOC, the user is told, and the call does not raise."""
    script.write_text(
        "from server_common.helpers import register_ioc_start\n"
        "pvs = {}\npvs['itself'] = pvs\nregister_ioc_start('X', pvs)\nprint('goes on')\n"
    )
    heard = await runner.run(script)
    assert heard.text.startswith(b"register_ioc_start: not forwarded: RecursionError")
    assert heard.text.endswith(b"goes on\n")


async def test_values_that_json_has_not(script: Path, runner: Runner) -> None:
    """Keys of any kind, tuples, infinities, enums and subclasses of text arrive as they print."""
    script.write_text(
        "from server_common.helpers import register_ioc_start\n"
        "import enum\n"
        "class Kind(str, enum.Enum):\n    AI = 'ai'\n"
        "class Number(enum.IntEnum):\n    ONE = 1\n"
        "pv = {1: (1.5, None), 'b': [True, float('inf')], 'c': Kind.AI, 'd': Number.ONE}\n"
        "register_ioc_start('X', {'A': pv})\n"
    )
    heard = await runner.run(script)
    (call,) = (each for each in heard.messages if isinstance(each, Registered))
    assert call.pv_database == {"A": {"1": [1.5, None], "b": [True, "inf"], "c": "ai", "d": 1}}


async def test_a_daemon_that_has_closed_all(script: Path, runner: Runner) -> None:
    """If neither the IOC nor the user can be told anything, the call still returns."""
    script.write_text(
        "import os\nfrom server_common.helpers import register_ioc_start\n"
        "os.closerange(0, 1024)\nos._exit(0 if register_ioc_start('X') is None else 1)\n"
    )
    heard = await runner.run(script)
    assert (names(heard), heard.code) == ([], 0)


EDITABLE = """
import sys
from importlib.machinery import PathFinder
class EditableFinder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "server_common":
            return PathFinder.find_spec(name, [{site!r}])
sys.meta_path.append(EditableFinder)
from server_common.helpers import register_ioc_start, MACROS
import server_common.other
print(MACROS, server_common.__file__)
register_ioc_start("X")
"""


async def test_an_editable_install(script: Path, runner: Runner, tmp_path: Path) -> None:
    """A real package that only its own finder finds (as after `pip install -e`) is found."""
    site = real(tmp_path / "site")
    script.write_text(EDITABLE.format(site=str(site)))
    heard = await runner.run(script)
    assert names(heard) == ["X"]
    assert heard.text.decode().splitlines()[-1].endswith("server_common/__init__.py")


async def test_real_modules_that_import_each_other(
    script: Path, runner: Runner, tmp_path: Path
) -> None:
    """A module that the real `helpers` imports may use what `helpers` has defined by then."""
    helpers = "MACROS = {}\nfrom .other import VALUE\n"
    site = real(tmp_path / "site", helpers)
    (site / "server_common" / "other.py").write_text(
        "from server_common.helpers import MACROS, register_ioc_start\nVALUE = MACROS\n"
    )
    script.write_text("from server_common.helpers import VALUE\nprint(VALUE)\n")
    heard = await runner.run(script, search_path=(str(site),))
    assert heard.text == b"{}\n"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
async def test_children_of_children(script: Path, runner: Runner, method: str) -> None:
    """The hook works in children of children with new interpreters."""
    script.write_text(
        "import multiprocessing as mp\n"
        "def deep():\n"
        "    from server_common.helpers import register_ioc_start\n"
        "    import bgrscrpt\n    register_ioc_start('X')\n    bgrscrpt.progress(50)\n"
        "def middle():\n    run(deep)\n"
        "def run(target):\n"
        f"    child = mp.get_context('{method}').Process(target=target)\n"
        "    child.start(); child.join()\n"
        "if __name__ == '__main__':\n    run(middle)\n"
    )
    heard = await runner.run(script)
    assert (heard.text, names(heard)) == (b"", ["X"])
    assert Progressed(50) in heard.messages


async def test_the_real_module_is_asked_by_name_only(
    script: Path, runner: Runner, tmp_path: Path
) -> None:
    """Code that inspects all modules (reload, getsource, dir) does not load the real one."""
    script.write_text(
        "import importlib, inspect\nfrom server_common import helpers\n"
        "importlib.reload(helpers)\ndir(helpers)\ninspect.getmodule(inspect.currentframe())\n"
        "print(helpers.__name__, helpers.__doc__, hasattr(helpers, '__file__'))\n"
    )
    heard = await runner.run(script, search_path=(str(real(tmp_path / "site")),))
    assert heard.text == b"server_common.helpers None False\n"
