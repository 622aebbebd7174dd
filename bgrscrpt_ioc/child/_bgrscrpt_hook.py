"""Intercepts `server_common.helpers.register_ioc_start`, wherever the real module is, or is not.

A finder at the front of `sys.meta_path`, because scripts put paths of their own at `sys.path[0]`.
It also follows the script into the children of `multiprocessing` that start a fresh interpreter.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

import bgrscrpt

TYPE_CHECKING = False  # `import typing` would cost more than all that is done here
if TYPE_CHECKING:
    from collections.abc import Sequence  # noqa: F401 - in type comments, as Any
    from typing import Any  # noqa: F401

PACKAGE = "server_common"
HELPERS = "server_common.helpers"
SPAWN = "multiprocessing.spawn"


def install():
    # type: () -> None
    """Put the finder first, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


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
    """Answers for three names, and for no others."""

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - importlib's signature
        # type: (str, Sequence[str] | None, object) -> ModuleSpec | None
        """Find our `helpers`, a package for it where there is none, or `multiprocessing.spawn`."""
        if name == HELPERS:
            return with_loader(ModuleSpec(HELPERS, None), HelpersLoader())
        if name == PACKAGE and PathFinder.find_spec(PACKAGE) is None:
            spec = ModuleSpec(PACKAGE, None, is_package=True)
            spec.submodule_search_locations = kit_package()
            return spec
        if name == SPAWN:
            spec = PathFinder.find_spec(SPAWN, path)
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
        real = self.__dict__.get("_real") or find_real()
        if name == "__all__":
            public = [key for key in vars(real) if not key.startswith("_")] if real else []
            return sorted({"register_ioc_start", *getattr(real, "__all__", public)})
        if real is None:
            raise AttributeError(
                "server_common.helpers has no %r here: no real server_common was found" % name
            )
        self._real = real
        return getattr(real, name)


def find_real():
    # type: () -> ModuleType | None
    """Load the real `server_common.helpers` under its own name, beside ours."""
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec(HELPERS, sys.modules[PACKAGE].__path__)
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
        original = module.get_preparation_data

        def get_preparation_data(name):
            # type: (str) -> dict
            return dict(original(name), bgrscrpt=Follow())

        vars(module)["get_preparation_data"] = get_preparation_data


class Follow:
    """Unpickled in a child, installs the hook there: pickled as a call of `exec`."""

    def __reduce__(self):
        # type: () -> tuple
        channel = bgrscrpt._channel
        line = (
            "import sys; sys.path.insert(0, {here!r}); import _bgrscrpt_hook; del sys.path[0]; "
            "_bgrscrpt_hook.follow({fd!r}, {pid!r}, {exe!r})"
        ).format(
            here=os.path.dirname(__file__),
            fd=channel and channel.fd,
            pid=channel and channel.script_pid,
            exe=channel and channel.exe_path,
        )
        return exec, (line, {})


def follow(fd, script_pid, exe_path):
    # type: (int | None, int, str) -> None
    """In a child with an interpreter of its own: reach the script's channel through /proc."""
    install()
    if bgrscrpt._channel is None and fd is not None:
        try:
            path = "/proc/%d/fd/%d" % (script_pid, fd)
            ours = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return  # the script is gone, or this is no Linux: the child runs without a channel
        bgrscrpt._open(ours, script_pid, exe_path)
