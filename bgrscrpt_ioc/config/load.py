"""Makes checked, frozen settings of command line, TOML file and environment; expands macros.

It collects all problems before it fails. It looks at no script and makes no directory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bgrscrpt_ioc.config.environment import Environment, Given, literal
from bgrscrpt_ioc.config.errors import ConfigError, setting_problem, toml_problem, unknown_key
from bgrscrpt_ioc.config.iocsettings import IocSettings, option
from bgrscrpt_ioc.config.macros import expand
from bgrscrpt_ioc.config.paths import command, located
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.permissions import open_to_others, refusal
from bgrscrpt_ioc.host.system import REFUSED

IOC_KEYS = frozenset(IocSettings.model_fields) - {"instances"}
INSTANCE_KEYS = frozenset(InstanceSettings.model_fields) - {"name"}
FIRST = "BGRSCRPT_01"
NEUTRAL = (0, {}, "auto", "off")  # values of keys that a system refuses: these ask for nothing
_PATHS = {"script", "python", "cwd", "log_dir", "state_dir", "python_path", "path_map", "asg"}
_NO_SCRIPT = (
    "no script is known: name it on the command line (bgrscrpt-ioc run SCRIPT), or as 'script' in"
    ' a file (--config FILE), or in the environment (MACROS={"SCRIPT_PATH": "..."}, or'
    " ICPINSTSCRIPTROOT)"
)
_ELSEWHERE = dict.fromkeys(INSTANCE_KEYS, "into [defaults] or [instance.NAME]") | dict.fromkeys(
    IOC_KEYS, "to the top of the file, above all [tables]"
)

_Model = TypeVar("_Model", bound=BaseModel)


def load(
    config: Path | None,
    script: Path | None,
    name: str | None,
    overrides: Mapping[str, Any],
    environ: Mapping[str, str],
) -> IocSettings:
    """Return the settings: command line over instance over defaults over environment.

    Args:
        config: TOML file; its relative paths start from its own directory.
        script: the script on the command line.
        name: the only instance to serve.
        overrides: keys of IocSettings and InstanceSettings from the command line; None: not given.
        environ: where macros and defaults come from.

    Raises:
        ConfigError: with every problem found.
    """
    document = {} if config is None else _read(config)
    try:
        environment = Environment(environ, only=config is None and script is None)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return _Loading(config, document, environment).settings(name, _from_line(script, overrides))


def open_config(config: Path | None, settings: IocSettings) -> str:
    """Return a message if anybody may change the configuration or access security file.

    Raises:
        ConfigError: with `strict`, such a file is refused.
    """
    files = [each.absolute() for each in (config, settings.asg) if each is not None]
    if settings.strict and (bad := [f"{each}: {why}" for each in files if (why := refusal(each))]):
        raise ConfigError(*bad)
    problems = "; ".join(filter(None, map(open_to_others, files)))
    # Somebody else may have written what was read, even if the file is closed to others now.
    return f"{problems}, and start the IOC again" if problems else ""


class _Loading:
    """Makes settings of one document and environment, and keeps the problems on the way."""

    def __init__(
        self, config: Path | None, document: dict[str, Any], environment: Environment
    ) -> None:
        self.problems: list[str] = []
        self.file = "" if config is None else f"{config}: "
        self.base = Path.cwd() if config is None else config.absolute().parent
        self.environment = environment
        self.macros = dict(environment.macros)
        self.instances = self._table(document.pop("instance", {}), "instance")
        defaults = self._table(document.pop("defaults", {}), "defaults")
        self.defaults = self._given(defaults, "[defaults] ", INSTANCE_KEYS)
        self.top = self._given(document, "", IOC_KEYS)

    def settings(self, name: str | None, line: dict[str, Given]) -> IocSettings:
        """Check and make everything; `line` is what the command line gave."""
        top = self.top | {key: given for key, given in line.items() if key in IOC_KEYS}
        top = self.environment.of_ioc(but=top) | top
        self.macros["STATE"] = self._state(top["state_dir"])
        own = {key: given for key, given in line.items() if key not in IOC_KEYS}
        names = self._names(name)
        if own and len(names) > 1:
            keys = ", ".join(given.where.removeprefix("command line: ") for given in own.values())
            self.problems.append(
                f"command line: {keys}: more than one instance: add --name, one of"
                f" {', '.join(names)}"
            )
        built = [self._instance(each, own, alone=len(names) == 1) for each in names]
        top["instances"] = Given(tuple(each for each in built if each), self.file, self.base)
        settings = self._build(IocSettings, top, self.file.rstrip())
        if settings is None or self.problems:
            raise ConfigError(*dict.fromkeys(self.problems))
        return settings

    def _instance(
        self, name: str, line: dict[str, Given], *, alone: bool
    ) -> InstanceSettings | None:
        label = f"{self.file}[instance.{name}]" if name in self.instances else name
        section = f"[instance.{name}] "
        table = self._table(self.instances.get(name, {}), f"instance.{name}")
        given = self.environment.of_instance(name, alone=alone) | self.defaults
        given = _over(given, self._given(table, section, INSTANCE_KEYS))
        given = _over(given, line)
        given["name"] = Given(name, label, self.base)
        if "script" not in given:
            self.problems.append(f"{label}: {_NO_SCRIPT}")
        return self._build(InstanceSettings, given, label)

    def _state(self, state_dir: Given) -> str:
        """Return the macro STATE. If it is unknown, `_build` reports that for its key."""
        try:
            return literal(str(self._meant("state_dir", state_dir)))
        except ValueError:
            return "/"

    def _names(self, name: str | None) -> list[str]:
        names = list(self.instances)
        for other in names:
            if other != other.upper() and other.upper() in names:
                self.problems.append(
                    f"{self.file}[instance.{other}]: the same name as [instance.{other.upper()}]"
                    " but for its case; give each instance a name of its own, in upper case"
                )
        if not names or name in names:
            return [name or FIRST]
        if name is not None:
            self.problems.append(
                f"command line: --name {name}: {self.file}has no [instance.{name}], only"
                f" {', '.join(names)}"
            )
            return []
        return names

    def _table(self, raw: Any, header: str) -> dict[str, Any]:
        if isinstance(raw, dict):
            return raw
        self.problems.append(f"{self.file}{header}: is {raw!r}, should be a table, [{header}]")
        return {}

    def _given(
        self, table: dict[str, Any], section: str, known: frozenset[str]
    ) -> dict[str, Given]:
        """Return the known keys of one table of the file; others are problems."""
        for key in sorted(set(table) - known):
            problem = unknown_key(key, known, _ELSEWHERE.get(key, ""))
            self.problems.append(f"{self.file}{section}{key}: {problem}")
        return {
            key: Given(value, f"{self.file}{section}{key}", self.base)
            for key, value in table.items()
            if key in known
        }

    # --- from what is written to what is meant ---------------------------------------------------

    def _build(self, model: type[_Model], given: dict[str, Given], label: str) -> _Model | None:
        values: dict[str, Any] = {}
        for key, each in given.items():
            if key in REFUSED and each.value not in NEUTRAL:
                self.problems.append(f"{each.where}: {REFUSED[key]}")
                continue
            try:
                values[key] = self._meant(key, each)
            except ValueError as error:
                self.problems.append(f"{each.where}: {error}")
        if isinstance(script := values.get("script"), Path):
            values.setdefault("cwd", script.parent)
        written = {key: each.where for key, each in given.items()}
        try:
            return model(**values)
        except ValidationError as error:
            self.problems += (
                setting_problem(each, written, label)
                for each in error.errors(include_url=False)
                # These two only follow from a problem that was already noted.
                if each["type"] != "missing" and each["loc"] != ("instances",)
            )
            return None

    def _meant(self, key: str, given: Given) -> Any:
        """Expand macros and complete paths; ValueError says what is wrong."""
        if key in ("name", "instances"):
            return given.value
        value = _expanded(given.value, self.macros)
        if (
            key == "python"
            and isinstance(value, str)
            and value
            and os.path.basename(value) == value  # noqa: PTH119 - text
        ):
            # A bare name is searched in PATH, as a shell does. Here and below links are not
            # resolved: the python of a venv belongs to the venv only under its own name.
            # Imported here: it imports all the archive formats, and few need it.
            from shutil import which

            return which(value, path=self.environment.variables.get("PATH")) or value
        if key == "notify" and isinstance(value, dict):
            return {event: command(each, given.base) for event, each in value.items()}
        return located(value, given.base) if key in _PATHS else value


def _read(config: Path) -> dict[str, Any]:
    import tomllib  # imported here: many IOCs have no such file

    try:
        return tomllib.loads(config.read_text("utf-8-sig"))  # editors of Windows write a BOM
    except OSError as error:
        raise ConfigError(f"{config}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{config}: line {line}: not UTF-8; save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{config}: {toml_problem(str(error))}") from error


def _from_line(script: Path | None, overrides: Mapping[str, Any]) -> dict[str, Given]:
    here = Path.cwd()
    given = {
        key: Given(value, f"command line: {option(key)}", here)
        for key, value in overrides.items()
        if value is not None
    }
    if script is not None:
        given["script"] = Given(literal(str(script)), f"command line: {script}", here)
    return given


def _expanded(value: Any, macros: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return expand(value, macros)
    if isinstance(value, (list, tuple)):
        return [_expanded(each, macros) for each in value]
    if isinstance(value, dict):
        return {key: _expanded(each, macros) for key, each in value.items()}
    return value


def _over(under: dict[str, Given], over: dict[str, Given]) -> dict[str, Given]:
    """Put settings over others.

    Of a table, key by key, if its relative paths start at one place.
    """
    result = under | over
    for key in under.keys() & over.keys():
        below, above = under[key], over[key]
        both = isinstance(below.value, Mapping) and isinstance(above.value, Mapping)
        if both and (key not in _PATHS or below.base == above.base):
            result[key] = Given({**below.value, **above.value}, above.where, above.base)
    return result
