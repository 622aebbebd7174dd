"""What an instance is called on this host, and the files that are its own."""

from __future__ import annotations

import logging
from pathlib import Path

from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.files import file_name, take_over

log = logging.getLogger("bgrscrpt_ioc")


def key_of(settings: IocSettings, instance: InstanceSettings) -> str:
    """What no other IOC on this host may have too."""
    return f"{settings.port}/{settings.prefix}{instance.name}"


def lock_of(settings: IocSettings, instance: InstanceSettings) -> Path:
    """The lock on the instance's state."""
    return settings.state_dir / f"{files_of(settings, instance)}.lock"


def files_of(settings: IocSettings, instance: InstanceSettings) -> str:
    """What the names of the instance's own files begin with: state belongs to prefix and name."""
    return file_name(settings.prefix + instance.name)


def state_of(settings: IocSettings, instance: InstanceSettings) -> Path:
    """The file of the instance's state.

    Earlier versions named it by the instance's name alone. The first IOC that serves an instance of
    that name takes such a file over.
    """
    path = settings.state_dir / f"{files_of(settings, instance)}.json"
    if trouble := take_over(settings.state_dir / f"{instance.name}.json", path):
        log.warning("the state that an earlier version kept is not taken over: %s", trouble)
    return path


def values_of(settings: IocSettings, instance: InstanceSettings) -> Path:
    """The file of the values that the script's PVs keep."""
    return settings.state_dir / f"{files_of(settings, instance)}.pvs.json"
