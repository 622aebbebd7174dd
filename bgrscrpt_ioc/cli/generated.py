"""What `deploy` makes for tools that watch PVs: screens, alarms, an archiver, ChannelFinder."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bgrscrpt_ioc.cli.address import address_of, read_document
from bgrscrpt_ioc.config.load import FIRST
from bgrscrpt_ioc.lifecycle.events import CommandFailed

if TYPE_CHECKING:  # no other command needs it
    from bgrscrpt_ioc.deploy.pvlists import Listed


def screens(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return the overview of the instances, and the screen that the overview opens."""
    from bgrscrpt_ioc.records.screens import OVERVIEW, SCREEN, instance_screen, overview

    return {OVERVIEW: overview(*_shown(arguments)), SCREEN: instance_screen()}


def alarms(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return the alarms of the instances, for Phoebus's alarm server.

    Raises:
        CommandFailed: the configuration to merge with cannot be read.
    """
    from bgrscrpt_ioc.records.alarmtree import component, configuration, merged

    prefix, names = _shown(arguments)
    screen = arguments.screen
    if arguments.merge:
        try:
            exported = arguments.merge.read_text(encoding="utf-8")
            text = merged(exported, prefix, names, screen)
        except (OSError, ValueError) as error:
            what = error.strerror if isinstance(error, OSError) else error
            raise CommandFailed(
                f"--merge {arguments.merge}: {what}; name a file that the alarm server exported"
            ) from error
    elif arguments.configuration:
        text = configuration(arguments.configuration, prefix, names, screen)
    else:
        text = component(prefix, names, screen)
    return {"alarms.xml": text}


def archive(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return the PVs to archive, for the Archiver Appliance."""
    from bgrscrpt_ioc.deploy.pvlists import archive as archived

    return {"archive.json": archived(*_served(arguments))}


def channelfinder(arguments: argparse.Namespace) -> Mapping[str, str]:
    """Return all PVs with their properties, for ChannelFinder."""
    from bgrscrpt_ioc.deploy.pvlists import channels, properties

    prefix, instances = _served(arguments)
    return {
        "properties.json": properties(prefix, instances, arguments.owner),
        "channels.json": channels(prefix, instances, arguments.owner),
    }


def _shown(arguments: argparse.Namespace) -> tuple[str, list[str]]:
    """Return the prefix of the PVs for Phoebus, and the names of the instances."""
    address = address_of(arguments)
    prefix = f"ca://{address.prefix}" if arguments.ca else address.prefix
    return prefix, list(address.names or [FIRST])


def _served(arguments: argparse.Namespace) -> tuple[str, list[Listed]]:
    from bgrscrpt_ioc.deploy.pvlists import listed

    address = address_of(arguments)
    names = address.names or [FIRST]
    return address.prefix, listed(read_document(arguments.config), names)
