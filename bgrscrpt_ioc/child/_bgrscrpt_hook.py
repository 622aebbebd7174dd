"""Replaces `server_common.helpers.register_ioc_start`, whether or not there is a real module.

It is a finder at the front of `sys.meta_path`, because scripts put their own paths at
`sys.path[0]`. It also follows the script into children of `multiprocessing` that start a new
interpreter. And it watches for threads and tasks that die, in scripts that import what starts them.
"""

import os
import sys

# The parts of `types` and `importlib`, without importing them: a script may have its own `types.py`
# beside it, and it starts 3 ms sooner.
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
OURS = "_bgrscrpt_"  # our modules, which can be imported though they are on no path


def install():
    # type: () -> None
    """Put the finder first, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
        # Modules that are loaded already. In a child, whose own children are followed too, all may
        # be.
        for name, loaded in LOADED.items():
            if name in sys.modules:
                loaded(sys.modules[name])


def find(name, path=None):
    # type: (str, Sequence[str] | None) -> ModuleSpec | None
    """Ask all finders but ours: an editable install has one of its own."""
    for finder in sys.meta_path:
        if not isinstance(finder, Finder) and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path)
            if spec is not None:
                return spec
    return None


def kit_package():
    # type: () -> list[str]
    """Return the directory in which the kit has `server_common`, if it has one."""
    for variable in ("KIT_ROOT", "EPICS_KIT_ROOT"):
        root = os.environ.get(variable, "")
        found = os.path.join(root, "ISIS", "inst_servers", "master", PACKAGE)
        if root and os.path.isdir(found):
            return [found]
    return []


class Finder:
    """Finds a few names, and no others."""

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - importlib's signature
        # type: (str, Sequence[str] | None, object) -> ModuleSpec | None
        """Find our `helpers`, a package for it if there is none, or a module in `LOADED`."""
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

    They do not inherit from a class that must be imported.
    """
    spec.loader = loader
    return spec


class Helpers(ModuleType):
    """`server_common.helpers`: one name is ours; all others come from the real module when used."""

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

    `import` does it, because it handles threads and modules that import each other.
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
        """Make the module, which asks the real one for all other names."""
        return Helpers(spec.name)

    def exec_module(self, module):
        # type: (ModuleType) -> None
        """Give the module the one function that is ours."""
        vars(module)["register_ioc_start"] = bgrscrpt._register_ioc_start


class ThenLoader:
    """Loads a module by its real loader, then calls a function, and leaves no trace of itself."""

    def __init__(self, real, loaded):
        # type: (Any, Callable[[Any], None]) -> None
        self.real, self.loaded = real, loaded

    def __getattr__(self, name):
        # type: (str) -> object
        return getattr(self.real, name)

    def exec_module(self, module):
        # type: (Any) -> None
        """Run the real module, and then our function for it."""
        module.__spec__.loader = module.__loader__ = self.real
        self.real.exec_module(module)
        self.loaded(module)


def watch_threads(module):
    # type: (Any) -> None
    """Watch for threads that die."""
    import _bgrscrpt_death

    _bgrscrpt_death.watch_threads(module)


def watch_tasks(module):
    # type: (Any) -> None
    """Watch for asyncio tasks that die."""
    import _bgrscrpt_death

    _bgrscrpt_death.watch_tasks(module)


def follow_children(module):
    # type: (Any) -> None
    """Make `multiprocessing.spawn` send the hook with what each child is told."""
    original = module.get_preparation_data

    def get_preparation_data(name):
        # type: (str) -> dict
        return dict(original(name), bgrscrpt=Follow())

    module.get_preparation_data = get_preparation_data


LOADED = {
    SPAWN: follow_children,
    "threading": watch_threads,
    "asyncio.base_events": watch_tasks,
}  # what is done with a module once it is loaded


class Follow:
    """Installs the hook when it is unpickled in a child. It is pickled as a call of `exec`."""

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
    """Reach the script's channel, if it still lives, from a child with its own interpreter."""
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
            return  # the script is gone, or this is not Linux: the child runs without a channel
        bgrscrpt._open(ours, script_pid, fd, exe_path)
