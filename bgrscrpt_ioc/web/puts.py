"""Puts of the web page, in threads that have Channel Access contexts of their own.

They do not share the channels by which the page follows PVs, so none of those is cleared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.client.pvs import PutFailedError, put_and_wait, read, text
from bgrscrpt_ioc.host.worker import in_thread
from bgrscrpt_ioc.lifecycle.events import CommandFailed

AT_ONCE = 8  # commands that wait for their completion; others wait for a free thread
PATIENCE = 120.0  # s for a command to complete, as on the command line
COMMANDS: Mapping[str, str] = {
    "start": "START", "stop": "STOP", "restart": "RESTART", "check": "CHECK", "stack": "STACK",
}  # fmt: skip


class PutThreads:
    """Carries out commands of people on the page, as puts with callback."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def put(self, instance: Instance, record: str, value: int) -> None:
        """Put, and return when the IOC has completed the put.

        Raises:
            CommandFailed: the put was refused or failed; the text has the IOC's reason.
        """
        async with self._turns:
            await in_thread(lambda: _put(instance, record, value))

    async def set_own(
        self, instance: Instance, name: str, value: float | str | list[float]
    ) -> None:
        """Put to a PV that the script has made, and return when the script has taken the value.

        Raises:
            CommandFailed: the put was refused or failed.
        """
        async with self._turns:
            await in_thread(lambda: _set_own(instance.pv + name, value))


def _set_own(pvname: str, value: float | str | list[float]) -> None:
    from epics import ca

    ca.create_context()
    try:
        put_and_wait(pvname, value, PATIENCE)
    except PutFailedError as error:
        raise CommandFailed(
            f"{pvname}: not set: the script does not run, or it has refused the value: see its log"
        ) from error
    finally:
        ca.destroy_context()


def _put(instance: Instance, record: str, value: int) -> None:
    from epics import ca

    ca.create_context()
    try:
        put_and_wait(instance.pv + record, value, PATIENCE)
    except PutFailedError as error:
        name = f"{instance.pv}STATUS:MSG"
        reading = read([name]).get(name)
        raise CommandFailed((reading and text(reading.value)) or str(error)) from error
    finally:
        ca.destroy_context()
