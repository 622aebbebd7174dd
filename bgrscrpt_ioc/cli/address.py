"""Finds out which instances a client command asks, and where: prefix, port and names only.

Only these are read from a file of settings. Its other keys may have macros and secrets that only
the service's own environment has.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.config.environment import Environment, Given
from bgrscrpt_ioc.config.errors import ConfigError, setting_problem, toml_problem
from bgrscrpt_ioc.config.iocsettings import IocSettings, option
from bgrscrpt_ioc.config.macros import expand

WHERE = ("prefix", "interfaces", "port")
PORT_VARIABLES = ("EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the IOC of the settings is; `names` are the instances of the file, if it has any."""

    prefix: str
    port: int
    interfaces: tuple[str, ...]
    names: tuple[str, ...]

    def instances(self, names: Sequence[str]) -> list[Instance]:
        """Return the named instances of this IOC.

        Raises:
            ConfigError: the file has instances, and one of `names` is not among them.
        """
        unknown = [name for name in names if self.names and name not in self.names]
        if unknown:
            raise ConfigError(
                f"command line: {', '.join(unknown)}: the file has no such instance, only"
                f" {', '.join(self.names)}"
            )
        return [Instance(self.prefix, name, self.port) for name in names]


def address_of(arguments: argparse.Namespace) -> Address:
    """Return where the IOC is that the command line, the file and the environment name.

    Raises:
        ConfigError: with every problem found.
    """
    document = read_document(arguments.config)
    given = settings_given(arguments, document, WHERE)
    table = document.get("instance", {})
    names = tuple(table) if isinstance(table, dict) else ()
    return Address(given["prefix"], given["port"], tuple(given["interfaces"]), names)


def settings_given(
    arguments: argparse.Namespace, document: dict[str, Any], keys: Collection[str]
) -> dict[str, Any]:
    """Return some settings of an IOC: first from the command line, then file, environment, default.

    Raises:
        ConfigError: one of them cannot be understood.
    """
    here, file = Path.cwd(), arguments.config
    base = here if file is None else file.absolute().parent
    try:
        environment = Environment(os.environ)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    given = environment.of_ioc()
    given |= {
        key: Given(document[key], f"{file}: {key}", base) for key in ("state_dir", *keys)
        if key in document
    }  # fmt: skip
    line = {key: getattr(arguments, key, None) for key in ("state_dir", *keys)}
    given |= {
        key: Given(value, f"command line: {option(key)}", here)
        for key, value in line.items()
        if value is not None
    }
    return _checked(given, environment.macros, keys)


def _checked(
    given: dict[str, Given], macros: dict[str, str], keys: Collection[str]
) -> dict[str, Any]:
    from pydantic import BaseModel, ConfigDict, ValidationError, create_model

    problems: list[str] = []
    values: dict[str, Any] = {}
    for key in ("state_dir", *keys):
        try:
            if key in given:
                values[key] = _expanded(given[key].value, macros)
        except ValueError as error:
            problems.append(f"{given[key].where}: {error}")
        if key == "state_dir" and isinstance(values.get(key), (str, Path)):
            values[key] = given[key].base / Path(values[key]).expanduser()
            macros = {**macros, "STATE": str(values[key]).replace("$", "\\$")}
    fields: dict[str, Any] = {
        key: (IocSettings.model_fields[key].annotation, IocSettings.model_fields[key])
        for key in keys
    }
    model: type[BaseModel] = create_model(
        "Asked", __config__=ConfigDict(frozen=True, extra="ignore"), **fields
    )
    try:
        checked = model(**values)
    except ValidationError as error:
        written = {key: each.where for key, each in given.items()}
        problems += [setting_problem(each, written, "") for each in error.errors(include_url=False)]
    else:
        if not problems:
            return {key: getattr(checked, key) for key in keys}
    raise ConfigError(*problems)


def _expanded(value: Any, macros: dict[str, str]) -> Any:
    if isinstance(value, str):
        return expand(value, macros)
    if isinstance(value, (list, tuple)):
        return [_expanded(each, macros) for each in value]
    return value


def read_document(config: Path | None) -> dict[str, Any]:
    """Return a file of settings as TOML, without expanding macros; {} if there is no file.

    Raises:
        ConfigError: the file cannot be read.
    """
    return {} if config is None else read_toml(config)


def read_toml(config: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file cannot be read; the text says why.
    """
    try:
        return tomllib.loads(config.read_text("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{config}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{config}: not UTF-8; save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{config}: {toml_problem(str(error))}") from error


def read_settings(arguments: argparse.Namespace, keys: Collection[str]) -> dict[str, Any]:
    """Return some settings of the IOC that command line, file and environment describe.

    Raises:
        ConfigError: with every problem found.
    """
    return settings_given(arguments, read_document(arguments.config), keys)
