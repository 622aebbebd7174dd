"""Imports modules ahead of the script, hides them, and gives them when the script imports them.

To the script it is an import, only quicker: until it imports a module, `sys.modules` does not have
it, and then has just what that import would have brought.
"""

import _signal  # pyright: ignore[reportMissingImports] - `signal` without its imports
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib import _calc___package__ as package_of  # pyright: ignore
from _frozen_importlib import _resolve_name as absolute_name  # pyright: ignore
from _thread import RLock, _count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType  # noqa: F401 - in type comments
    from typing import Any  # noqa: F401 - in type comments

MACHINERY = ("importlib", "_frozen_importlib", "_frozen_importlib_external")


class PreloadError(Exception):
    """The modules cannot be imported ahead without the script's noticing; the text says why."""


class Preloaded:
    """Modules imported ahead, and a finder of `sys.meta_path` that gives them to the script."""

    def __init__(self, standard_path):
        # type: (list[str]) -> None
        """Nothing yet. What comes before `standard_path` in `sys.path` may shadow a module."""
        self.standard_path = frozenset(standard_path)
        self.hidden = {}  # type: dict[str, ModuleType]
        self.needs = {}  # type: dict[str, set[str]] # name -> what its import imports
        self.environ = {}  # type: dict[str, tuple[str | None, str | None]] # before, after
        self.as_it_was = {}  # type: dict[str, str] # the environment that was seen
        self.given = False
        self.lock = RLock()

    # --- ahead of the script -------------------------------------------------------------------

    def load(self, names):
        # type: (list[str]) -> None
        """Import and hide them.

        Raises:
            PreloadError: one cannot be imported, or its import leaves what would be noticed.
        """
        before = set(sys.modules)
        environ = dict(os.environ)
        handlers = [_signal.getsignal(number) for number in signals()]
        builtins = sys.modules["builtins"]  # type: Any
        original = builtins.__import__
        recorder = Recorder(self.needs, original)
        builtins.__import__ = recorder.importing
        sys.meta_path.insert(0, recorder)
        try:
            for name in names:
                known = set(sys.modules)
                self.import_one(name, original)
                self.note_strays(name, set(sys.modules) - known)
                if _count():
                    raise PreloadError("%s starts a thread when it is imported" % name)
                if [_signal.getsignal(number) for number in signals()] != handlers:
                    raise PreloadError("%s handles a signal when it is imported" % name)
        finally:
            sys.meta_path.remove(recorder)
            builtins.__import__ = original
        self.hide([name for name in sys.modules if name not in before])
        self.take_back(environ)
        sys.meta_path.insert(0, self)

    def import_one(self, name, original):
        # type: (str, Any) -> None
        """Import one, by the interpreter's own import."""
        try:
            original(name)
        except BaseException as error:  # the user's module may raise anything
            text = "%s cannot be imported: %s: %s" % (name, type(error).__name__, error)
            raise PreloadError(text) from error

    def note_strays(self, root, names):
        # type: (str, set[str]) -> None
        """Have what nobody imported, as an alias, come with its package or with what it came by."""
        imported = {root}.union(*self.needs.values())
        for name in names - imported:
            owners = packages(name)[:1] or [root, *packages(root)]
            for owner in owners:
                self.needs.setdefault(owner, set()).add(name)

    def hide(self, names):
        # type: (list[str]) -> None
        """Take the modules out of `sys.modules`."""
        self.hidden = {name: sys.modules.pop(name) for name in names}
        self.needs = {  # of all that was noted, what can be given
            name: self.needs.get(name, set()).union(packages(name)) & set(names) for name in names
        }

    def take_back(self, before):
        # type: (dict[str, str]) -> None
        """Undo what the imports did to the environment, until the script imports them."""
        after = dict(os.environ)
        for key in set(before) | set(after):
            if before.get(key) != after.get(key):
                self.environ[key] = before.get(key), after.get(key)
                put_variable(key, before.get(key))
        self.as_it_was = before

    # --- what the script's import does ---------------------------------------------------------

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - importlib's signature
        # type: (str, Any, Any) -> ModuleSpec | None
        """Find a module that was imported ahead, if the script would get the same one."""
        if target is not None:  # importlib.reload
            return None
        with self.lock:
            if name not in self.hidden and name in sys.modules:  # another thread was first
                return spec_of(name, sys.modules[name], self)
            if name in self.hidden:
                self.drop_shadowed()
            module = self.hidden.get(name)
            return None if module is None else spec_of(name, module, self)

    def give(self, name):
        # type: (str) -> None
        """Put into `sys.modules` what the import of this module would have imported."""
        with self.lock:
            if not self.given:
                self.given = True
                self.bring_environment(name)
            found, waiting = {name}, [name]
            while waiting:
                needed = self.needs.get(waiting.pop(), set()) - found
                waiting += needed
                found |= needed
            for each in found:
                module = self.hidden.pop(each, None)
                if module is not None:
                    sys.modules[each] = module

    def drop_shadowed(self):
        # type: () -> None
        """Forget modules that the script would now find elsewhere, as beside itself."""
        tops = {name for name in self.hidden if "." not in name}
        for top in tops & names_in(self.ahead_of_standard()):
            finders = [each for each in sys.meta_path if each is not self]
            found = None
            for finder in finders:
                found = found or finder.find_spec(top, None)
            ours = getattr(self.hidden[top], "__spec__", None)
            if found is None or ours is None or found.origin != ours.origin:
                for name in [*self.hidden]:
                    if name == top or name.startswith(top + "."):
                        del self.hidden[name]

    def ahead_of_standard(self):
        # type: () -> list[str]
        """List the entries of `sys.path` in front of the standard library."""
        entries = []
        for entry in sys.path:
            if entry in self.standard_path:
                break
            entries.append(entry)
        return entries

    def bring_environment(self, name):
        # type: (str) -> None
        """Do to the environment what the imports did; say what they can not have seen in it."""
        unseen = {
            key
            for key in set(self.as_it_was) | set(os.environ)
            if self.as_it_was.get(key) != os.environ.get(key)
        }
        for key, (before, after) in self.environ.items():
            if os.environ.get(key) == before:
                put_variable(key, after)
        if unseen:
            text = "%s changed after %s had been imported ahead: list in `preload` only what does"
            text += " not look at it\n"
            complain(text % (", ".join(sorted(unseen)), name))


class Recorder:
    """Notes who imports what, also what is there already: an import brings that too."""

    def __init__(self, needs, original):
        # type: (dict[str, set[str]], Any) -> None
        self.needs = needs
        self.original = original

    def importing(self, name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002
        # type: (str, Any, Any, Any, int) -> Any
        """Be `builtins.__import__`."""
        module = self.original(name, globals, locals, fromlist, level)
        if level:
            name = absolute_name(name, package_of(globals), level)
        self.note([name, *("%s.%s" % (name, each) for each in fromlist or ())])
        return module

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - importlib's signature
        # type: (str, Any, Any) -> None
        """Find nothing, but note the first import by whichever way, `importlib` and C too."""
        self.note([name])

    def note(self, names):
        # type: (list[str]) -> None
        """Note them for whoever's code it is that imports, be it a module written in C."""
        frame = sys._getframe(2)
        while frame is not None:
            importer = frame.f_globals.get("__name__", "")
            if importer.partition(".")[0] not in MACHINERY and importer != __name__:
                self.needs.setdefault(importer, set()).update(names)
                return
            frame = frame.f_back


class Giver:
    """The loader that gives a module that is there already."""

    def __init__(self, module, spec, source):
        # type: (ModuleType, ModuleSpec | None, Preloaded) -> None
        self.module = module
        self.spec = spec
        self.source = source

    def create_module(self, spec):  # noqa: ARG002 - importlib's signature
        # type: (ModuleSpec) -> ModuleType
        """Give it."""
        return self.module

    def exec_module(self, module):
        # type: (ModuleType) -> None
        """Bring what its import would have brought; let nothing show how it came."""
        module.__spec__ = self.spec
        self.source.give(getattr(self.spec, "name", module.__name__))

    def __getattr__(self, name):
        # type: (str) -> object
        return getattr(self.spec.loader if self.spec else None, name)


def spec_of(name, module, source):
    # type: (str, ModuleType, Preloaded) -> ModuleSpec
    """Make a spec like the module's own, but for its loader."""
    own = getattr(module, "__spec__", None)
    spec = ModuleSpec(name, None, origin=getattr(own, "origin", None))
    spec.loader = Giver(module, own, source)  # pyright: ignore[reportAttributeAccessIssue]
    spec.submodule_search_locations = getattr(own, "submodule_search_locations", None)
    return spec


def signals():
    # type: () -> list[int]
    """List the signals that a handler can be had for."""
    return [number for number in range(1, _signal.NSIG) if _signal.getsignal(number) is not None]


def packages(name):
    # type: (str) -> list[str]
    """List the packages that a module is in."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def names_in(entries):
    # type: (list[str]) -> set[str]
    """Collect what may be imported from these entries of `sys.path`, by its first name."""
    names = set()
    for entry in entries:
        try:
            names.update(file.partition(".")[0] for file in os.listdir(entry or "."))
        except OSError:  # not there, or a zip file, which may hold any
            if os.path.isfile(entry):
                names.update(sys.modules)
    return names


def put_variable(key, value):
    # type: (str, str | None) -> None
    """Set a variable of the environment, or remove it."""
    if value is None:
        os.environ.pop(key, None)
    else:
        os.environ[key] = value


def complain(text):
    # type: (str) -> None
    """Tell the user, in the script's output."""
    os.write(2, ("bgrscrpt: " + text).encode("ascii", "backslashreplace"))
