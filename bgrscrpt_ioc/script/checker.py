"""Checks scripts without an IOC: each is compiled by its own interpreter, and none is run."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

from bgrscrpt_ioc.config.iocsettings import IocSettings
from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host import system
from bgrscrpt_ioc.host.permissions import refusal
from bgrscrpt_ioc.host.system import Reaper
from bgrscrpt_ioc.process.order import order_for
from bgrscrpt_ioc.process.spawn import SpawnError
from bgrscrpt_ioc.script.standby import PATIENCE, Standby


def check(settings: IocSettings, patience: float = PATIENCE) -> list[str]:
    """Check all scripts; return a line `NAME: script: problem` for each bad one.

    `patience` is how many seconds an interpreter may take.
    """
    return asyncio.run(_problems(settings, patience))


async def _problems(settings: IocSettings, patience: float) -> list[str]:
    reaper = Reaper()
    reaper.start()
    try:
        found = [
            (one, await _problem(one, settings, reaper, patience)) for one in settings.instances
        ]
    finally:
        reaper.stop()
    return [f"{one.name}: {one.script}: {problem}" for one, problem in found if problem]


async def _problem(
    one: InstanceSettings, settings: IocSettings, reaper: Reaper, patience: float
) -> str:
    if settings.strict and (refused := refusal(one.script)):
        return refused
    cookie = f"{system.own_id()}/check"
    order = order_for(one, os.environ, prefix=settings.prefix, cookie=cookie)
    order = replace(order, preload=(), only_checks=True)
    try:
        standby = Standby(order, reaper)
    except SpawnError as error:
        return str(error)
    try:
        return await standby.check(patience)
    finally:
        standby.close()
        await standby.gone.wait()
