"""Reads macros from the environment, and the settings that nobody needs to give.

It reads only the mapping that it is given. In `load.py` the file and the command line override it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgrscrpt_ioc.config.epicsvars import read_epics_variables

ISIS_REGISTRY = "mysql+pymysql://iocdb:$iocdb@127.0.0.1/iocdb"


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written, and where: for error messages, and for relative paths (`base`)."""

    value: Any
    where: str
    base: Path


class Environment:
    """The environment variables `variables`, read once.

    `macros` are all macros; `passed` are those that came in the variable MACROS. `only` says that
    no file and no script is given. With ICPINSTSCRIPTROOT and ICPVARDIR that is the ISIS way: the
    registry, the interpreter and the working directory are then those of ISIS's launcher.

    Raises:
        ValueError: MACROS cannot be read.
    """

    def __init__(self, variables: Mapping[str, str], *, only: bool = False) -> None:
        self.variables = variables
        self.base = Path.cwd()
        self.isis = only and all(map(variables.get, ("ICPINSTSCRIPTROOT", "ICPVARDIR")))
        self.passed = _read_macros(variables.get("MACROS", ""))
        self.macros = {**variables, **self.passed}
        for one, other in (("KIT_ROOT", "EPICS_KIT_ROOT"), ("EPICS_KIT_ROOT", "KIT_ROOT")):
            if other in self.macros:
                self.macros.setdefault(one, self.macros[other])

    def of_ioc(self, *, but: Collection[str] = ()) -> dict[str, Given]:
        """Return the settings of an IOC. A state directory in `but` is not looked for."""
        found = {
            "prefix": self._given("$(MYPVPREFIX=)", "MYPVPREFIX"),
            "registry": self._given(
                ISIS_REGISTRY if self.isis else "sqlite:///$(STATE)/iocdb.sqlite", "ICPVARDIR"
            ),
            "log_dir": self._given("$(STATE)/log", "ICPVARDIR"),
        }
        if self.macros.get("ICPVARDIR"):
            found["state_dir"] = self._given("$(ICPVARDIR)/bgrscrpt", "ICPVARDIR")
        elif "state_dir" not in but:
            from platformdirs import user_state_dir  # imported here: 15 ms, and few need it

            found["state_dir"] = self._given(literal(user_state_dir("bgrscrpt")), "XDG_STATE_HOME")
        epics = read_epics_variables(self.variables)  # the server reports what is wrong with them
        if epics.interfaces:
            addresses = [literal(each) for each in epics.interfaces]
            found["interfaces"] = self._given(addresses, "EPICS_CAS_INTF_ADDR_LIST")
        if epics.server_port is not None:
            found["port"] = self._given(epics.server_port, "EPICS_CAS_SERVER_PORT")
        return found

    def of_instance(self, name: str, *, alone: bool) -> dict[str, Given]:
        """Return the settings of an instance; `alone` says that the IOC serves no other."""
        path = self.variables.get("PYTHONPATH", "").split(os.pathsep)
        found = {
            "python": Given(literal(sys.executable), "this Python", self.base),
            "python_path": self._given([literal(each) for each in path if each], "PYTHONPATH"),
        }
        if self.isis:
            found["cwd"] = self._given(literal(str(self.base)), "the launcher's directory")
            for variable in ("PYTHON3", "PYTHON3W"):  # the later one wins, as in runIOC.bat
                if python := self.variables.get(variable, "").strip():
                    found["python"] = self._given(literal(python), variable)
        # One SCRIPT_PATH is one script, which must not become the script of several instances.
        if alone and self.passed.get("SCRIPT_PATH"):
            found["script"] = self._given("$(SCRIPT_PATH)", "MACROS: SCRIPT_PATH")
        elif self.macros.get("ICPINSTSCRIPTROOT"):
            file = f"$(ICPINSTSCRIPTROOT)/background_script{_number(name)}.py"
            found["script"] = self._given(file, "ICPINSTSCRIPTROOT")
        return found

    def _given(self, value: Any, variable: str) -> Given:
        return Given(value, f"environment: {variable}", self.base)


def literal(text: str) -> str:
    """Return `text` escaped, so that macro expansion leaves it as it is."""
    return text.replace("$", "\\$")


def _number(name: str) -> str:
    """Return ISIS's number of a name: nothing for `BGRSCRPT_01`, 2 for `BGRSCRPT_02`."""
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
