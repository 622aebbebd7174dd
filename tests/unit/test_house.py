"""The house: rooms stand on one another, pure code stays pure, and one room knows the system.

Each test names all that is wrong at once, as `module: what`.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from bgrscrpt_ioc.cli.parser import GROUPS
from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.contract import NAMES, RunTree
from tests.windows import left_out

PACKAGE = Path(__file__).parents[2] / "bgrscrpt_ioc"
CHILD = PACKAGE / "child"

# From the ground up. A module may import from its own room and from the rooms before it.
ROOMS = (
    "lifecycle", "host", "limits", "config", "output", "process", "registry", "records", "access",
    "script", "ca", "ioc", "notify", "client", "web", "deploy", "cli", "__main__",
)  # fmt: skip

# Files that use no I/O, no clock and no asyncio.
PURE = {
    "lifecycle.events", "lifecycle.machine", "lifecycle.steps", "lifecycle.table",
    "lifecycle.transitions",
    "process.messages", "process.parsing", "process.frames", "output.loglines",
    "output.jsonlines", "output.textlines", "limits.limits", "access.calc", "access.acf",
    "access.putlines",
    "access.rules", "records.table", "records.alarm", "records.database", "ca.fields",
    "records.screens", "records.alarmtree",
    "config.macros", "config.epicsvars", "registry.dbtrouble", "registry.pvrows",
    "registry.wanted", "registry.entries", "registry.ledger", "registry.attempts", "registry.times",
    "config.masking", "config.weblinks", "host.lean", "web.scroll", "web.trend", "web.board",
    "web.openapi", "script.story", "script.history", "script.notices", "script.failure",
    "script.heartbeat", "deploy.site", "deploy.systemd", "deploy.procserv", "ioc.plan",
    "deploy.ibex", "deploy.container", "deploy.kubernetes", "deploy.pvlists",
}  # fmt: skip
IMPURE = {"asyncio", "os", "signal", "socket", "subprocess", "threading", "time"}

# All children are reaped in one place, so the IOC starts processes only where that is known of.
STARTS_PROCESSES = {
    "host.posix.tree", "host.posix.tool", "host.posix.guardian",
    "host.windows.job", "host.windows.tool", "host.windows.tree",
}  # fmt: skip
TENANTS = ("posix", "windows")
# Who may ask in host/. (host.streams is imported before all else, so it imports nothing of ours;
# host.interrupts names SIGINT alone, which every system has.)
ASK = [[each] for each in (*TENANTS, "system", "streams", "interrupts")]
# What only host/ and child/ may name: not every operating system has it, or it means another thing.
SYSTEM_MODULES = {
    "fcntl", "resource", "termios", "pwd", "grp", "select", "pty", "tty",
    "_winapi", "msvcrt", "winreg", "pywintypes", "win32api", "win32con", "win32event", "win32job",
    "win32process", "win32security",
}  # fmt: skip
PORTABLE_FLAGS = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_EXCL"}
SYSTEM_NAMES = {
    "os": {
        "fork", "forkpty", "set_blocking", "name", "uname", "pread", "pwrite", "fchmod", "kill",
        "killpg", "setsid", "waitpid", "sysconf", "nice", "getuid", "geteuid", "getgid", "getegid",
        "getxattr", "mkfifo", "prlimit",
    },
    "sys": {"platform"},
    "signal": {"signal", "getsignal", "pthread_sigmask"},
    "socket": {"AF_UNIX", "SO_REUSEADDR", "SO_REUSEPORT"},
}  # fmt: skip
SYSTEM_PREFIXES = {"os": ("O_", "SCHED_"), "signal": ("SIG",), "socket": ("TCP_",), "stat": ("S_",)}
SYSTEM_METHODS = {"add_reader", "add_writer", "add_signal_handler", "st_mode", "st_uid", "st_gid"}
PROCESS_MODULES = {"subprocess", "multiprocessing", "pty"}

# The event loop's own threads, which its end waits for; and what may hang for a dead name server.
WAITED_FOR = {"to_thread", "run_in_executor", "ThreadPoolExecutor"}
LOOKS_UP = {"getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn"}

# Where a library lives: rooms or modules.
HOMES = {
    "caproto": {"ca", "access.inputs", "access.inputsearch"},
    "epics": {"client", "web.follower", "web.puts", "web.seeker"},
    "starlette": {"web"},
    "uvicorn": {"web.serve"},
    "prometheus_client": {"web.metrics"},
    "shtab": {"cli.shipped"},
    "sqlalchemy": {"registry"},
    "pymysql": {"registry.dbconnection"},
}

LONGEST = 300  # lines of a file: one that wants more is two things

MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if (CHILD not in path.parents and path.parent / "__init__.py" != PACKAGE / "__init__.py")
    or path.stem == "__main__"
}
CHILD_FILES = sorted(CHILD.rglob("*.py"))
# The script's interpreter may be another than this one: what some version of Python has.
CHILD_MAY_IMPORT = (
    sys.stdlib_module_names | {path.stem for path in CHILD_FILES} | {"_sha2", "_sha256"}
)


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports are not used here"
            module = node.module or ""
            yield from (f"{module}.{name.name}" for name in node.names)


def foreign(path: Path) -> set[str]:
    """Return the top-level modules from outside the package that the file imports."""
    return {name.split(".")[0] for name in imports(path)} - {"bgrscrpt_ioc", "__future__"}


def own(path: Path) -> set[str]:
    """Return the modules of the package that the file imports."""
    names = {name.partition(".")[2] for name in imports(path) if name.startswith("bgrscrpt_ioc.")}
    found = {
        each for each in (*MODULES, "child") for name in names if f"{name}.".startswith(each + ".")
    }
    return found - {room for room in ROOMS if any(each.startswith(room + ".") for each in found)}


def room(module: str) -> str:
    """Return the room of a module."""
    return module.partition(".")[0]


def test_nothing_imports_upwards() -> None:
    """A module imports from its own room and from the rooms below; nobody imports the child."""
    lost = {each for each in MODULES if room(each) not in ROOMS}
    assert not lost, f"give them a room in ROOMS: {lost}"
    wrong = [
        f"{module}: imports {other}"
        for module, path in MODULES.items()
        for other in own(path)
        if other == "child" or ROOMS.index(room(other)) > ROOMS.index(room(module))
    ]
    assert not wrong, wrong


def test_no_circles() -> None:
    """Imports within a room make no circle."""
    graph = {module: own(path) - {module} for module, path in MODULES.items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_pure_modules_are_pure() -> None:
    """Pure modules use the standard library only, and nothing of it that waits or touches."""
    assert set(MODULES) >= PURE
    wrong = [
        f"{module}: imports {name}"
        for module in sorted(PURE)
        for name in foreign(MODULES[module])
        if name in IMPURE or name not in sys.stdlib_module_names
    ]
    assert not wrong, wrong


def test_the_script_side_stands_alone() -> None:
    """What runs in the script's interpreter finds nothing there but the standard library."""
    wrong = [
        f"{path.name}: imports {name}"
        for path in CHILD_FILES
        for name in own(path) | (foreign(path) - CHILD_MAY_IMPORT)
    ]
    assert not wrong, wrong


def test_processes_are_started_where_they_are_reaped() -> None:
    """Only modules that hand their children to the reaper start any."""
    wrong: list[str] = []
    for module in MODULES.keys() - STARTS_PROCESSES:
        tree = ast.walk(ast.parse(MODULES[module].read_bytes()))
        called = {node.attr for node in tree if isinstance(node, ast.Attribute)}
        starts = {name for name in called if "subprocess_" in name or name in ("fork", "popen")}
        starts |= foreign(MODULES[module]) & PROCESS_MODULES
        wrong += [f"{module}: {name}" for name in starts]
    assert not wrong, wrong


def test_what_windows_need_not_run_is_pure() -> None:
    """No test that is left out under Wine as pure has to do with host/ or child/, in any way."""
    names = {Path(name) for name, why in left_out.SAME.items() if why == left_out.PURE}
    wrong: list[str] = []
    for name in names:
        found, new = set[str](), own(PACKAGE.parent / name)
        while new := new - found:
            found |= new
            new = {other for module in new if module in MODULES for other in own(MODULES[module])}
        wrong += [f"{name}: {each}" for each in found if room(each) in ("host", "child")]
    assert not wrong, wrong


def of_the_system(path: Path) -> Iterator[str]:
    """Yield what the file names of one operating system."""
    yield from (foreign(path) | {name.split(".")[0] for name in imports(path)}) & SYSTEM_MODULES
    for name in own(path):
        if name.startswith(tuple(f"host.{tenant}" for tenant in TENANTS)):
            yield name
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value.startswith("/proc"):
                yield node.value
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            named = node.attr in SYSTEM_NAMES.get(owner, ())
            prefixed = node.attr.startswith(SYSTEM_PREFIXES.get(owner, ("\0",)))
            if node.attr in SYSTEM_METHODS or named:
                yield node.attr
            elif prefixed and node.attr not in PORTABLE_FLAGS:
                yield f"{owner}.{node.attr}"


def test_one_room_knows_the_operating_system() -> None:
    """Only host/ and child/ name what one operating system has; others ask by the contract."""
    wrong = [
        f"{module}: {name}"
        for module, path in MODULES.items()
        if room(module) != "host"
        for name in of_the_system(path)
    ]
    common = [
        f"{module}: {name}"
        for module, path in MODULES.items()
        if room(module) == "host" and module.split(".")[1:2] not in ASK
        for name in of_the_system(path)
    ]
    assert not wrong + common, wrong + common


def test_the_host_keeps_its_contract() -> None:
    """Each name of the contract is there, in the module that the contract says, and no other."""
    names = {name for names in NAMES.values() for name in names}
    assert set(system.__all__) == names
    for module, expected in NAMES.items():
        tenant = importlib.import_module(f"bgrscrpt_ioc.host.{system.TENANT}.{module}")
        lost = [name for name in expected if not hasattr(tenant, name)]
        assert not lost, f"{module}: {lost}"
        assert all(getattr(system, name) is getattr(tenant, name) for name in expected)
    shape = {name for name in vars(RunTree) if not name.startswith("_")}
    assert shape <= set(dir(system.Tree))


def test_tenants_take_the_same_arguments() -> None:
    """Each function and class of the contract is called in the same way on every system."""
    for module in NAMES.keys() - {"cgroup"}:  # Windows has none, and nobody asks for more there
        one, other = (calls_of(PACKAGE / "host" / each / f"{module}.py") for each in TENANTS)
        bare = ["self"]  # of a class without a constructor of its own
        for name in NAMES[module]:
            assert one.get(name, bare) == other.get(name, bare), f"{module}.{name}"


def calls_of(path: Path) -> dict[str, list[str]]:
    """Return the names of the arguments of each function of a file, and of each constructor."""
    found: dict[str, list[str]] = {}
    for node in ast.parse(path.read_text("utf-8")).body:
        for each in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and (
                each is node or each.name == "__init__"
            ):
                taken = (*each.args.posonlyargs, *each.args.args, *each.args.kwonlyargs)
                name = node.name if isinstance(node, ast.ClassDef) else each.name
                found[name] = [arg.arg for arg in taken]
    return found


def defined(tree: ast.AST) -> set[str]:
    """Return the names that the body of a module or class defines."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {each.id for each in targets if isinstance(each, ast.Name)}
    return found


@pytest.mark.parametrize("tenant", TENANTS)
def test_every_tenant_keeps_the_contract(tenant: str) -> None:
    """Each platform has all names of the contract; read, not imported: it may be another one."""
    lost: list[str] = []
    for module, expected in NAMES.items():
        tree = ast.parse(MODULES[f"host.{tenant}.{module}"].read_bytes())
        lost += [f"{module}.{name}" for name in expected if name not in defined(tree)]
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == "Tree":
                shape = {name for name in vars(RunTree) if not name.startswith("_")}
                lost += [f"Tree.{name}" for name in shape - defined(node)]
    assert not lost, lost


def test_no_two_classes_bear_one_name() -> None:
    """A class is known by its name alone; the script's side, which is no library, is apart."""
    homes: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        if module.startswith("host.windows."):
            continue  # answers to the same names as host.posix
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    wrong = {name: modules for name, modules in homes.items() if len(modules) > 1}
    assert not wrong, wrong


def test_the_end_waits_for_no_call_that_hangs() -> None:
    """Names are looked up in one place, and no job is done by threads that an end waits for."""
    wrong: list[str] = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_bytes())):
            called = node.attr if isinstance(node, ast.Attribute) else ""
            if called in WAITED_FOR or (called in LOOKS_UP and module != "host.resolver"):
                wrong.append(f"{module}: {called}")
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "Thread":
                daemon = {each.arg: each.value for each in node.keywords}.get("daemon")
                if not isinstance(daemon, ast.Constant) or daemon.value is not True:
                    wrong.append(f"{module}: a thread that is no daemon")
    assert not wrong, wrong


def test_a_library_stays_in_its_place() -> None:
    """A library that shapes code around itself is imported only where it belongs."""
    wrong = [
        f"{module}: imports {library}"
        for library, homes in HOMES.items()
        for module, path in MODULES.items()
        if library in foreign(path) and not {module, room(module)} & homes
    ]
    assert not wrong, wrong


def test_a_serving_ioc_imports_what_it_needs() -> None:
    """What libraries would take along, or few uses need, costs no start; it can be had later."""
    code = (
        "import sys\nfrom bgrscrpt_ioc.cli.parser import parse\n"
        "from bgrscrpt_ioc.cli.service import server, settings_of\n"
        "settings_of(parse(['run', 'x.py', '--state-dir', '/s'])); server()\n"
        "print(*sys.modules)\n"
    )
    code += "import ssl, numpy, importlib.metadata"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(told.stdout.split())
    assert loaded >= {"bgrscrpt_ioc.ioc.serve", "caproto", "asyncio", "pydantic"}
    left_out = {"numpy", "ssl", "importlib.metadata", "shutil", "tempfile", "bz2"}
    left_out |= {"hashlib", "_hashlib", "secrets", "tomllib", "urllib.request", "http", "email"}
    assert not loaded & {*left_out, "sqlalchemy", "pymysql", "epics"}
    others = {f"bgrscrpt_ioc.cli.{name}" for name in GROUPS} - {"bgrscrpt_ioc.cli.service"}
    assert not loaded & others
    rooms = {each.split(".")[1] for each in loaded if each.startswith("bgrscrpt_ioc.")}
    assert not rooms & {"client", "deploy", "notify", "web", "child"}


def test_a_stand_in_becomes_its_module() -> None:
    """What is imported later is imported when it is used, and stays."""
    code = (
        "import sys\nfrom bgrscrpt_ioc.host.lean import later, without\n"
        "with without('colorsys', later('colorsys')):\n    import colorsys as first\n"
        "assert 'colorsys' not in sys.modules\n"
        "assert first.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)\n"
        "assert sys.modules['colorsys'] is not first\n"
        "with without('fractions', later('fractions')):\n    from fractions import Fraction\n"
        "assert sys.modules['fractions'].Fraction is Fraction\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_file_is_two_things() -> None:
    """No file of the package has more lines than one purpose needs."""
    lines = {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8").count("\n")
        for path in PACKAGE.rglob("*.py")
    }
    too_long = {name: count for name, count in lines.items() if count > LONGEST}
    assert not too_long
