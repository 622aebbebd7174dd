"""Intercepts `server_common.helpers.register_ioc_start`, wherever the real module is, or is not.

A finder at the front of `sys.meta_path`, because scripts put paths of their own at `sys.path[0]`.
It also follows the script into the children of `multiprocessing` that start a fresh interpreter.
"""

import os
import sys

# What `types` and `importlib` have, without importing them: a script may have a `types.py` of its
# own beside it, and it is started 3 ms sooner.
from _frozen_importlib import ModuleSpec, module_from_spec

import bgrscrpt

TYPE_CHECKING = False  # `import typing` would cost more than all that is done here
if TYPE_CHECKING:
    from collections.abc import Sequence  # noqa: F401 - in type comments, as Any
    from types import ModuleType
    from typing import Any  # noqa: F401
else:
    ModuleType = type(sys)

PACKAGE = "server_common"
HELPERS = "server_common.helpers"
REAL = "server_common._real_helpers"  # the real one's place in sys.modules; its name it keeps
SPAWN = "multiprocessing.spawn"


def install():
    # type: () -> None
    """Put the finder first, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
        if SPAWN in sys.modules:  # we are in a child: its own children are followed too
            follow_children(sys.modules[SPAWN])


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
    """Where the kit keeps `server_common`, if it has one."""
    for variable in ("KIT_ROOT", "EPICS_KIT_ROOT"):
        root = os.environ.get(variable, "")
        found = os.path.join(root, "ISIS", "inst_servers", "master", PACKAGE)
        if root and os.path.isdir(found):
            return [found]
    return []


class Finder:
    """Answers for four names, and for no others."""

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - importlib's signature
        # type: (str, Sequence[str] | None, object) -> ModuleSpec | None
        """Find our `helpers`, a package for it where there is none, or `multiprocessing.spawn`."""
        if name == HELPERS:
            return with_loader(ModuleSpec(HELPERS, None), HelpersLoader())
        if name == REAL:
            return with_loader(ModuleSpec(REAL, None), RealLoader(find(HELPERS, path)))
        if name == PACKAGE and find(PACKAGE) is None:
            spec = ModuleSpec(PACKAGE, None, is_package=True)
            spec.submodule_search_locations = kit_package()
            return spec
        if name == SPAWN:
            spec = find(SPAWN, path)
            return spec and with_loader(spec, SpawnLoader(spec.loader))
        return None


def with_loader(spec, loader):
    # type: (ModuleSpec, Any) -> ModuleSpec
    """Give a spec one of our loaders; they need not inherit what would have to be imported."""
    spec.loader = loader
    return spec


class Helpers(ModuleType):
    """`server_common.helpers`: one name is ours, all others come from the real module, if asked."""

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

    By `import`, which knows what to do with threads, and with modules that import each other.
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
        """Run it."""
        module.__spec__ = self.spec
        self.spec.loader.exec_module(module)


class HelpersLoader:
    """Makes our `server_common.helpers`."""

    def create_module(self, spec):
        # type: (ModuleSpec) -> ModuleType
        """Make the module that asks the real one for what it has not."""
        return Helpers(spec.name)

    def exec_module(self, module):
        # type: (ModuleType) -> None
        """Give it the one function that is ours."""
        vars(module)["register_ioc_start"] = bgrscrpt._register_ioc_start


class SpawnLoader:
    """Loads `multiprocessing.spawn`; its children then get the hook before they run the script."""

    def __init__(self, real):
        # type: (Any) -> None
        self.real = real

    def __getattr__(self, name):
        # type: (str) -> object
        return getattr(self.real, name)

    def exec_module(self, module):
        # type: (ModuleType) -> None
        """Run the real module, then add ourselves to what a child unpickles first."""
        self.real.exec_module(module)
        follow_children(module)


def follow_children(module):
    # type: (Any) -> None
    """Have `multiprocessing.spawn` send the hook along with what each child is told."""
    original = module.get_preparation_data

    def get_preparation_data(name):
        # type: (str) -> dict
        return dict(original(name), bgrscrpt=Follow())

    module.get_preparation_data = get_preparation_data


class Follow:
    """Unpickled in a child, installs the hook there: pickled as a call of `exec`."""

    def __reduce__(self):
        # type: () -> tuple
        channel = bgrscrpt._channel
        line = (
            "import sys; sys.path.insert(0, {here!r}); import _bgrscrpt_hook; del sys.path[0]; "
            "_bgrscrpt_hook.follow({fd!r}, {pid!r}, {exe!r}, {path_map!r})"
        ).format(
            here=os.path.dirname(__file__),
            fd=channel and channel.script_fd,
            pid=channel and channel.script_pid,
            exe=channel and channel.exe_path,
            path_map=getattr(sys.modules.get("_bgrscrpt_paths"), "installed", None),
        )
        return exec, (line, {})


def follow(fd, script_pid, exe_path, path_map):
    # type: (int | None, int, str, Any) -> None
    """In a child with an interpreter of its own: reach the script's channel through /proc."""
    install()
    if path_map:
        sys.path.insert(0, os.path.dirname(__file__))
        import _bgrscrpt_paths

        del sys.path[0]
        _bgrscrpt_paths.install(path_map)
    if bgrscrpt._channel is None and fd is not None:
        try:
            path = "/proc/%d/fd/%d" % (script_pid, fd)
            ours = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return  # the script is gone, or this is no Linux: the child runs without a channel
        bgrscrpt._open(ours, script_pid, fd, exe_path)
