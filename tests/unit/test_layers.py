"""The architecture, read from the imports: data flows one way, and pure code stays pure."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "bgrscrpt_ioc"
CHILD = PACKAGE / "child"

# From the bottom up. A module may import from its own layer and from those above it in this list.
LAYERS = {
    "pure": """lean events machine transitions lifecycle messages output.loglines limits access.calc
        access.acf access.rules ca.records ca.fields config.macros registry.dbtrouble
        registry.pvrows""",
    "edges": """config.settings config.errors config.environment config.load state posix posix_mark
        posix_cgroup posix_memory posix_locks files permissions launch confine pipe spawn process
        command guard hold checker scriptfile usage worker output.writer output.console output.echo
        output.logdir output.logfile output.logs output.output registry.wanted registry.ledger
        registry.iocdb registry.dbconnection registry.registry""",
    "one script": "services watch run standby readings supervisor",
    "Channel Access": """access.inputs access.security access.putlog ca.wire ca.channels ca.kinds
        ca.lookup ca.puts ca.guard ca.links ca.reads ca.link ca.listener ca.monitors ca.circuit
        ca.search ca.server ca.procserv ca.pvs ca.dbfile""",
    "one IOC": "ioc",
    "command line": "client cli",
}
LAYER = {module: at for at, names in enumerate(LAYERS.values()) for module in names.split()}
PURE = LAYERS["pure"].split()

IMPURE = {"asyncio", "os", "signal", "socket", "subprocess", "threading", "time"}
# All children are reaped in one place, so the IOC starts processes only where that is known of.
STARTS_PROCESSES = {"spawn", "command", "guard"}
PROCESS_MODULES = {"subprocess", "multiprocessing", "pty"}
HOMES = {
    "caproto": {name for name in LAYER if name.startswith("ca.")} | {"access.inputs"},
    "epics": {"client"},
    "rich": {"client"},
    "sqlalchemy": {"registry.iocdb", "registry.dbconnection"},
    "pymysql": {"registry.dbconnection"},
}

MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__" and CHILD not in path.parents
)
CHILD_FILES = sorted(CHILD.rglob("*.py"))
# The script's interpreter may be another than this one: what some version of Python has.
CHILD_MAY_IMPORT = (
    sys.stdlib_module_names | {path.stem for path in CHILD_FILES} | {"_sha2", "_sha256"}
)


def source(module: str) -> Path:
    """The file of a module of the package."""
    return PACKAGE.joinpath(*module.split(".")).with_suffix(".py")


def imports(path: Path) -> Iterator[str]:
    """The full name of every module that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports are not used here"
            module = node.module or ""
            yield from (f"{module}.{name.name}" for name in node.names)


def foreign(path: Path) -> set[str]:
    """The top-level modules from outside the package that the file imports."""
    return {name.split(".")[0] for name in imports(path)} - {"bgrscrpt_ioc", "__future__"}


def own(path: Path) -> set[str]:
    """The modules of the package that the file imports."""
    names = {name.partition(".")[2] for name in imports(path) if name.startswith("bgrscrpt_ioc.")}
    return {
        each for each in (*MODULES, "child") for name in names if f"{name}.".startswith(each + ".")
    }


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_layer(module: str) -> None:
    """A new module is given a place in the architecture before it is merged."""
    assert module in LAYER, f"{module}: add it to LAYERS, where it belongs"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upwards(module: str) -> None:
    """A module knows its own layer and what lies below; the child's code is nobody's library."""
    for other in own(source(module)):
        assert other != "child", f"{module} imports the script's side"
        # One that has no layer is the business of the test above.
        upwards = LAYER.get(other, 0) > LAYER.get(module, len(LAYERS))
        assert not upwards, f"{module} imports {other}, from a layer above it"


def test_no_circles() -> None:
    """Imports within a layer make no circle either."""
    graph = {module: own(source(module)) for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_are_pure(module: str) -> None:
    """Pure modules use the standard library only, and nothing of it that waits or touches."""
    used = foreign(source(module))
    assert used <= sys.stdlib_module_names
    assert not used & IMPURE


@pytest.mark.parametrize("path", CHILD_FILES, ids=lambda path: path.stem)
def test_the_script_side_stands_alone(path: Path) -> None:
    """What runs in the script's interpreter finds nothing there but the standard library."""
    assert not own(path)
    assert foreign(path) <= CHILD_MAY_IMPORT


@pytest.mark.parametrize("module", MODULES)
def test_processes_are_started_where_they_are_reaped(module: str) -> None:
    """Only modules that hand their children to the reaper start any."""
    path = source(module)
    tree = ast.walk(ast.parse(path.read_bytes()))
    called = {node.attr for node in tree if isinstance(node, ast.Attribute)}
    starts = {name for name in called if "subprocess_" in name or name in ("fork", "popen")}
    if module not in STARTS_PROCESSES:
        assert not foreign(path) & PROCESS_MODULES
        assert not starts


@pytest.mark.parametrize(("library", "homes"), HOMES.items())
def test_a_library_stays_in_its_place(library: str, homes: set[str]) -> None:
    """A library that shapes code around itself is imported only where it belongs."""
    users = {module for module in MODULES if library in foreign(source(module))}
    assert users <= homes


def test_a_serving_ioc_imports_what_it_needs() -> None:
    """What libraries would take along, or few uses need, costs no start; it can be had later."""
    code = "import sys, bgrscrpt_ioc.cli; bgrscrpt_ioc.cli.server(); print(*sys.modules)\n"
    code += "import ssl, numpy, importlib.metadata, curses"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.split())
    assert loaded >= {"bgrscrpt_ioc.ioc", "caproto", "asyncio", "pydantic"}
    left_out = {"numpy", "ssl", "importlib.metadata", "curses", "shutil"}
    assert not loaded & {*left_out, "sqlalchemy", "pymysql", "epics", "rich"}
