"""What the environment says: the macros, and the settings that nobody needs to give.

Reads the mapping it is given and nothing else; `load.py` lets file and command line override it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written, and where: for its errors, and for its relative paths (`base`)."""

    value: Any
    where: str
    base: Path


class Environment:
    """The environment variables `variables`, read once.

    `macros` are all macros; `passed` those of them that came in the variable MACROS.

    Raises:
        ValueError: MACROS cannot be read.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.base = Path.cwd()
        self.passed = _read_macros(variables.get("MACROS", ""))
        self.macros = {**variables, **self.passed}
        for one, other in (("KIT_ROOT", "EPICS_KIT_ROOT"), ("EPICS_KIT_ROOT", "KIT_ROOT")):
            if other in self.macros:
                self.macros.setdefault(one, self.macros[other])

    def of_ioc(self) -> dict[str, Given]:
        """Return the settings of an IOC."""
        found = {
            "prefix": self._given("$(MYPVPREFIX=)", "MYPVPREFIX"),
            "registry": self._given("sqlite:///$(STATE)/iocdb.sqlite", "ICPVARDIR"),
            "log_dir": self._given("$(STATE)/log", "ICPVARDIR"),
        }
        if self.macros.get("ICPVARDIR"):
            found["state_dir"] = self._given("$(ICPVARDIR)/bgrscrpt", "ICPVARDIR")
        else:
            from platformdirs import user_state_dir  # not at the top: 15 ms, and not used at ISIS

            found["state_dir"] = self._given(literal(user_state_dir("bgrscrpt")), "XDG_STATE_HOME")
        if addresses := self.variables.get("EPICS_CAS_INTF_ADDR_LIST", "").split():
            found["interfaces"] = self._given(addresses, "EPICS_CAS_INTF_ADDR_LIST")
        for variable in ("EPICS_CA_SERVER_PORT", "EPICS_CAS_SERVER_PORT"):  # the later one wins
            if port := self.variables.get(variable):
                found["port"] = self._given(port, variable)
        return found

    def of_instance(self, name: str, *, alone: bool) -> dict[str, Given]:
        """Return the settings of an instance; `alone`: the IOC serves no other."""
        path = self.variables.get("PYTHONPATH", "").split(os.pathsep)
        found = {
            "python": Given(literal(sys.executable), "this Python", self.base),
            "python_path": self._given([literal(each) for each in path if each], "PYTHONPATH"),
        }
        # One SCRIPT_PATH is one script: it must not become the script of several instances.
        if alone and self.passed.get("SCRIPT_PATH"):
            found["script"] = self._given("$(SCRIPT_PATH)", "MACROS: SCRIPT_PATH")
        elif self.macros.get("ICPINSTSCRIPTROOT"):
            file = f"$(ICPINSTSCRIPTROOT)/background_script{_number(name)}.py"
            found["script"] = self._given(file, "ICPINSTSCRIPTROOT")
        return found

    def _given(self, value: Any, variable: str) -> Given:
        return Given(value, f"environment: {variable}", self.base)


def literal(text: str) -> str:
    """Make `text` stand for itself where macros are expanded."""
    return text.replace("$", "\\$")


def _number(name: str) -> str:
    """`BGRSCRPT_01` -> nothing, `BGRSCRPT_02` -> 2: how ISIS numbers its background scripts."""
    found = re.search(r"_(\d+)$", name)
    return str(int(found[1])) if found and int(found[1]) > 1 else ""


def _read_macros(text: str) -> dict[str, str]:
    expected = 'should be a JSON object of macros, {"SCRIPT_PATH": "/path/to/script.py"}'
    try:
        raw = json.loads(text.strip() or "{}")
    except ValueError as error:
        raise ValueError(f"environment: MACROS: {error}; {expected}") from error
    if not isinstance(raw, dict):
        raise ValueError(f"environment: MACROS: {expected}")  # noqa: TRY004 - the text is wrong
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in raw.items()
        if value is not None
    }
