"""Puts together who follows an instance: its history, notices, and `on_change`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bgrscrpt_ioc.config.settings import InstanceSettings
from bgrscrpt_ioc.host.system import Reaper
from bgrscrpt_ioc.host.worker import Worker
from bgrscrpt_ioc.output.output import Output, Publish
from bgrscrpt_ioc.script.announcer import Announcer, about
from bgrscrpt_ioc.script.historian import Historian
from bgrscrpt_ioc.script.historyfile import history_of, texts_of
from bgrscrpt_ioc.script.launcher import Launcher
from bgrscrpt_ioc.script.onchange import OnChange
from bgrscrpt_ioc.script.scriptfile import ScriptFile
from bgrscrpt_ioc.script.supervisor import Supervisor
from bgrscrpt_ioc.script.witness import Witness


class Followers:
    """Those of one instance; all of them are there, though its settings may not need them."""

    def __init__(
        self,
        witness: Witness,
        instance: InstanceSettings,
        prefix: str,
        state_dir: Path,
        *,
        script: ScriptFile,
        launcher: Launcher,
        supervisor: Supervisor,
        output: Output,
        worker: Callable[[], Worker],
        reaper: Reaper,
        publish: Publish,
    ) -> None:
        """Have the witness tell those who follow this instance; `worker` makes one for each."""
        self._prefix = prefix
        full_name = prefix + instance.name
        self._historian = Historian(
            instance.name,
            str(instance.script),
            file=history_of(state_dir, full_name),
            texts=texts_of(state_dir, full_name),
            get_text=script.get_text,
            worker=worker(),
            publish=publish,
        )
        self._announcer = Announcer(
            commands_of(instance),
            about(instance.name, prefix, str(instance.script)),
            reaper=reaper,
            worker=worker(),
            output=output,
        )
        self._on_change = OnChange(
            instance.on_change,
            script=script,
            checks=launcher,
            restarts=supervisor,
            output=output,
        )
        for each in (self._historian, self._announcer, self._on_change):
            witness.add(each)

    def take(self, instance: InstanceSettings) -> None:
        """Go by these settings from now on."""
        self._historian.take(str(instance.script))
        told = about(instance.name, self._prefix, str(instance.script))
        self._announcer.take(commands_of(instance), told)
        self._on_change.take(instance.on_change)


def commands_of(instance: InstanceSettings) -> dict[str, tuple[str, ...]]:
    """Return the commands that tell people of the instance, by their keys."""
    return {str(key): command for key, command in instance.notify.items()}
