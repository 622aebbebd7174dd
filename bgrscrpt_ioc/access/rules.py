"""Who may do what: applies a file's rules to a user, the user's address, and the inputs.

Pure. A host is the address of the connection, never the name that a client claims to have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bgrscrpt_ioc.access.acf import AccessFile, Group, Right, Rule

DEFAULT = "DEFAULT"  # the group of records whose own group is not in the file


@dataclass(frozen=True, slots=True)
class Granted:
    """What a client may do; `trap` says that its writes are to be logged."""

    right: Right
    trap: bool = False


NOTHING = Granted(Right.NONE)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a file, with the addresses of its hosts and the values of its inputs."""

    file: AccessFile
    addresses: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by the host's name
    inputs: Mapping[str, float] = field(default_factory=dict)  # valid values, by PV name

    def granted(self, group: str, level: int, user: str, address: str) -> Granted:
        """Return what a user may do from an address with fields of this level and group."""
        found = self.file.groups.get(group) or self.file.groups.get(DEFAULT)
        best = NOTHING
        for rule in found.rules if found else ():
            if best.right is Right.WRITE:
                break
            fits = level <= rule.level and rule.right > best.right
            if fits and self._applies(rule, found or Group(), user, address):
                best = Granted(rule.right, rule.trap)
        return best

    def _applies(self, rule: Rule, group: Group, user: str, address: str) -> bool:
        if rule.users and not any(user in self.file.users[name] for name in rule.users):
            return False
        hosts = {host for name in rule.hosts for host in self.file.hosts[name]}
        if rule.hosts and not any(address in self.addresses.get(host, ()) for host in hosts):
            return False
        return rule.calc is None or self._holds(rule, group)

    def _holds(self, rule: Rule, group: Group) -> bool:
        """Return whether a CALC is 1 and all its PVs have values.

        EPICS requires at least one PV.
        """
        wanted = {letter: group.inputs.get(letter) for letter in rule.calc_inputs}
        if rule.calc is None or not any(wanted.values()):
            return rule.calc is None
        values = {letter: self.inputs.get(pv) if pv else 0.0 for letter, pv in wanted.items()}
        known = {letter: value for letter, value in values.items() if value is not None}
        return len(known) == len(values) and rule.calc(known) == 1
