"""Finds the instances that `status` shows, and says where each was found."""

from __future__ import annotations

import argparse
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bgrscrpt_ioc.cli.address import PORT_VARIABLES, Address
from bgrscrpt_ioc.client.instance import HERE, Instance
from bgrscrpt_ioc.config.load import FIRST
from bgrscrpt_ioc.host.hold import held_on_this_host
from bgrscrpt_ioc.lifecycle.events import CommandFailed

ASKED, REGISTRY, SIBLING = "asked for", "registry", "IOC:INSTANCES"
PHRASES = {
    HERE: "on this host",
    ASKED: "asked for",
    REGISTRY: "in the registry",
    SIBLING: "told by IOC:INSTANCES",
}
_INSTANCE = re.compile(r"(.*?)([A-Z0-9_]+)")


def instances_asked(arguments: argparse.Namespace, address: Address) -> list[Instance]:
    """Return the instances that a command line asks for.

    These are the named one, or all of a file of settings, of a fleet's file or of a registry.
    Otherwise they are all that IOCs of this host serve with the given prefixes and port. For a
    prefix that no IOC of this host serves, the first instance is asked.
    """
    prefixes: list[str] = list(getattr(arguments, "prefixes", None) or ())
    if arguments.prefix is not None:
        prefixes.append(arguments.prefix)
    if arguments.name:
        asked = address.instances([arguments.name])
        return [replace(each, source=ASKED) for each in asked]
    fleet = getattr(arguments, "fleet", None)
    registry = getattr(arguments, "registry", None)
    if arguments.config is not None and not fleet:
        names = address.names or [FIRST]
        return [replace(x, source=arguments.config.name) for x in address.instances(names)]
    if fleet or registry:
        found = {*_of_fleet(fleet), *_of_registry(registry, address)}
        if chosen := sorted(x for x in found if not prefixes or x.prefix in prefixes):
            return chosen
        where = " and ".join(str(x) for x in (fleet, registry and REGISTRY) if x)
        raise CommandFailed(f"{where}: no instance{' with such a prefix' if prefixes else ''}")
    found = set[Instance]()
    for prefix in prefixes or [None]:
        here = set(_on_this_host(prefix, _port(arguments, address)))
        first = address.prefix if prefix is None else prefix
        found |= here or {Instance(first, FIRST, address.port, source=ASKED)}
    return sorted(found)


def _port(arguments: argparse.Namespace, address: Address) -> int | None:
    """Return the port that is asked for; None means any port."""
    given = [arguments.port, *(os.environ.get(each) for each in PORT_VARIABLES)]
    return address.port if any(given) else None


def _on_this_host(prefix: str | None, port: int | None) -> Iterator[Instance]:
    for its_port, full_name in held_on_this_host():
        begin, name = "", full_name
        if match := _INSTANCE.fullmatch(full_name):
            begin, name = match.groups()
        if prefix is not None:
            begin, name = prefix, full_name.removeprefix(prefix)
            if not full_name.startswith(prefix) or not re.fullmatch("[A-Z0-9_]+", name):
                continue
        if port in (None, its_port):
            yield Instance(begin, name, its_port, source=HERE)


def _of_fleet(fleet: Path | None) -> list[Instance]:
    if not fleet:
        return []
    from bgrscrpt_ioc.cli.fleet import read_fleet

    return read_fleet(fleet)


def _of_registry(url: str | None, address: Address) -> Iterator[Instance]:
    if not url:
        return
    from bgrscrpt_ioc.registry.dbtrouble import RegistryError
    from bgrscrpt_ioc.registry.registry import read_instances

    try:
        for prefix, name in read_instances(url):
            yield Instance(prefix, name, address.port, source=REGISTRY)
    except RegistryError as error:
        raise CommandFailed(f"registry: {error}") from error


def several_prefixes(arguments: argparse.Namespace, instances: Sequence[Instance]) -> bool:
    """Return whether the prefixes of the instances may differ."""
    if any(getattr(arguments, each, None) for each in ("fleet", "registry", "prefixes")):
        return True
    here = any(each.is_here for each in instances)
    return here and arguments.prefix is None


def siblings(instance: Instance, names: str | None) -> list[Instance]:
    """Return the names that the IOC of an instance says it serves.

    An IOC of this host is not asked, because the host has named all of its instances.
    """
    if instance.is_here or not names:
        return []
    return [replace(instance, name=each, source=SIBLING) for each in names.splitlines()]


def sources(instances: Sequence[Instance]) -> str:
    """Return where instances were found: `7 instances: 3 in fleet.toml, 4 told by ...`."""
    counted = Counter(each.source for each in instances)
    said = [(number, PHRASES.get(each, f"in {each}")) for each, number in counted.items()]
    count = "1 instance" if len(instances) == 1 else f"{len(instances)} instances"
    if len(said) == 1:
        return f"{count} {said[0][1]}"
    return f"{count}: " + ", ".join(f"{number} {phrase}" for number, phrase in said)
