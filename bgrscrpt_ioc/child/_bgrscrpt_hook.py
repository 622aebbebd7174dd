"""Replaces `server_common.helpers.register_ioc_start`, whether or not there is a real module.

The hook is a finder at the front of `sys.meta_path`, because scripts put their own paths at
`sys.path[0]`. The hook also follows the script into children of `multiprocessing` that start a new
interpreter. If a script imports `threading` or asyncio, the hook watches for threads and tasks that
die.
"""

import os
import sys

# Parts of `types` and `importlib`, without an import of either: a script may have a `types.py` of
# its own beside it, and this way the script starts 3 ms sooner.
from _frozen_importlib import ModuleSpec, module_from_spec
from _frozen_importlib_external import PathFinder

import bgrscrpt

TYPE_CHECKING = False  # `import typing` would take longer than all that is done here
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence  # noqa: F401 - in type comments, as Any
    from types import ModuleType
    from typing import Any  # noqa: F401
else:
    ModuleType = type(sys)

PACKAGE = "server_common"
HELPERS = "server_common.helpers"
# The real module's place in sys.modules; its name does not change.
REAL = "server_common._real_helpers"
SPAWN = "multiprocessing.spawn"
HERE = os.path.dirname(os.path.abspath(__file__))
OURS = "_bgrscrpt_"  # our modules, which are on no path and can still be imported


def install():
    # type: () -> None
    """Put the finder in front of all others, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
        # Modules that are loaded already: all of them may be, in a child process.
        for name, loaded in LOADED.items():
            if name in sys.modules:
                loaded(sys.modules[name])


def find(name, path=None):
    # type: (str, Sequence[str] | None) -> ModuleSpec | None
    """Return the spec that the other finders have; an editable install has a finder of its own."""
    for finder in sys.meta_path:
        if not isinstance(finder, Finder) and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path)
            if spec is not None:
                return spec
    return None


def kit_package():
    # type: () -> list[str]
    """Return the directory of the kit that has `server_common`, if the kit has one."""
    for variable in ("KIT_ROOT", "EPICS_KIT_ROOT"):
        root = os.environ.get(variable, "")
        found = os.path.join(root, "ISIS", "inst_servers", "master", PACKAGE)
        if root and os.path.isdir(found):
            return [found]
    return []


class Finder:
    """Finds the modules that this hook replaces or watches, and no others."""

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - importlib's signature
        # type: (str, Sequence[str] | None, object) -> ModuleSpec | None
        """Return the spec of our `helpers`, of a package for it, or of a module in `LOADED`."""
        if name == HELPERS:
            return with_loader(ModuleSpec(HELPERS, None), HelpersLoader())
        if name == REAL:
            return with_loader(ModuleSpec(REAL, None), RealLoader(find(HELPERS, path)))
        if name == PACKAGE and find(PACKAGE) is None:
            spec = ModuleSpec(PACKAGE, None, is_package=True)
            spec.submodule_search_locations = kit_package()
            return spec
        if name in LOADED:
            spec = find(name, path)
            return spec and with_loader(spec, ThenLoader(spec.loader, LOADED[name]))
        if name.startswith(OURS):
            return PathFinder.find_spec(name, [HERE])
        return None


def with_loader(spec, loader):
    # type: (ModuleSpec, Any) -> ModuleSpec
    """Return a spec with one of our loaders.

    Our loaders inherit from no class, because the class would have to be imported.
    """
    spec.loader = loader
    return spec


class Helpers(ModuleType):
    """`server_common.helpers`: one name is ours; the real module, loaded when used, has others."""

    def __getattr__(self, name):
        # type: (str) -> object
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)
        real = load_real()
        if name == "__all__":
            public = [key for key in vars(real) if not key.startswith("_")] if real else []
            return sorted({"register_ioc_start", *getattr(real, "__all__", public)})
        if real is None:
            raise AttributeError(
                "server_common.helpers has no %r here: no real server_common was found" % name
            )
        return getattr(real, name)


def load_real():
    # type: () -> ModuleType | None
    """Import the real `server_common.helpers`, if there is one, beside ours.

    The statement `import` does this, because it handles threads and circular imports.
    """
    if REAL not in sys.modules:
        spec = find(HELPERS, sys.modules[PACKAGE].__path__)
        if spec is None or spec.loader is None:
            return None
    __import__(REAL)
    return sys.modules[REAL]


class RealLoader:
    """Loads the real `server_common.helpers`, under its own name."""

    def __init__(self, spec):
        # type: (Any) -> None
        self.spec = spec

    def create_module(self, spec):  # noqa: ARG002 - importlib's signature
        # type: (ModuleSpec) -> ModuleType
        """Make the module as its own loader does."""
        return module_from_spec(self.spec)

    def exec_module(self, module):
        # type: (ModuleType) -> None
        """Run the module."""
        module.__spec__ = self.spec
        self.spec.loader.exec_module(module)


class HelpersLoader:
    """Makes our `server_common.helpers`."""

    def create_module(self, spec):
        # type: (ModuleSpec) -> ModuleType
        """Make the module, which takes all other names from the real module."""
        return Helpers(spec.name)

    def exec_module(self, module):
        # type: (ModuleType) -> None
        """Put our function into the module."""
        vars(module)["register_ioc_start"] = bgrscrpt._register_ioc_start


class ThenLoader:
    """Loads a module by the module's own loader, then calls a function. Leaves no trace."""

    def __init__(self, real, loaded):
        # type: (Any, Callable[[Any], None]) -> None
        self.real, self.loaded = real, loaded

    def __getattr__(self, name):
        # type: (str) -> object
        return getattr(self.real, name)

    def exec_module(self, module):
        # type: (Any) -> None
        """Run the real module, then our function for the module."""
        module.__spec__.loader = module.__loader__ = self.real
        self.real.exec_module(module)
        self.loaded(module)


def watch_threads(module):
    # type: (Any) -> None
    """Tell the IOC of threads that die."""
    import _bgrscrpt_death

    _bgrscrpt_death.watch_threads(module)


def watch_tasks(module):
    # type: (Any) -> None
    """Tell the IOC of asyncio tasks that die."""
    import _bgrscrpt_death

    _bgrscrpt_death.watch_tasks(module)


def follow_children(module):
    # type: (Any) -> None
    """Make `multiprocessing.spawn` send the hook to each child."""
    original = module.get_preparation_data

    def get_preparation_data(name):
        # type: (str) -> dict
        return dict(original(name), bgrscrpt=Follow())

    module.get_preparation_data = get_preparation_data


LOADED = {
    SPAWN: follow_children,
    "threading": watch_threads,
    "asyncio.base_events": watch_tasks,
}  # the function to call after each module is loaded


class Follow:
    """Installs the hook in a child when the child unpickles it; pickled as a call of `exec`."""

    def __reduce__(self):
        # type: () -> tuple
        channel = bgrscrpt._channel
        line = (
            "import sys; sys.path.insert(0, {here!r}); import _bgrscrpt_hook; del sys.path[0]; "
            "_bgrscrpt_hook.follow({fd!r}, {pid!r}, {exe!r}, {path_map!r})"
        ).format(
            here=HERE,
            fd=channel and channel.script_fd,
            pid=channel and channel.script_pid,
            exe=channel and channel.exe_path,
            path_map=getattr(sys.modules.get("_bgrscrpt_paths"), "installed", None),
        )
        return exec, (line, {})


def follow(fd, script_pid, exe_path, path_map):
    # type: (int | None, int, str, Any) -> None
    """Open the script's channel in a child with an interpreter of its own, if the script lives."""
    install()
    import _bgrscrpt_stack

    _bgrscrpt_stack.listen()
    if path_map:
        import _bgrscrpt_paths

        _bgrscrpt_paths.install(path_map)
    if bgrscrpt._channel is None and fd is not None:
        try:
            if os.name == "nt":
                import _bgrscrpt_windows

                ours = _bgrscrpt_windows.reach(script_pid, fd)
            else:
                path = "/proc/%d/fd/%d" % (script_pid, fd)
                ours = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return  # the script has ended, or this is not Linux: the child runs without a channel
        bgrscrpt._open(ours, script_pid, fd, exe_path)
