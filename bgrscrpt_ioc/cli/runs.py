"""The commands `history` and `diff`: which runs there were, and what has changed since.

On the host of the IOC they read its files, also while the IOC is down. Elsewhere `history` reads
the PV.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bgrscrpt_ioc.cli.address import WHERE, address_of, read_settings
from bgrscrpt_ioc.cli.finding import instances_asked, several_prefixes
from bgrscrpt_ioc.cli.options import Add, add_file, count
from bgrscrpt_ioc.cli.printing import show, show_json, terminal_width, write
from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.host.files import file_name, read_regular
from bgrscrpt_ioc.host.streams import complain
from bgrscrpt_ioc.lifecycle.events import CommandFailed, Severity
from bgrscrpt_ioc.output.loglines import visible
from bgrscrpt_ioc.script.history import PastRun, lost, read, rows
from bgrscrpt_ioc.script.historyfile import MAX_READ, history_of, texts_of
from bgrscrpt_ioc.script.story import How

USUAL = 20  # runs of each instance


@dataclass(frozen=True, slots=True)
class Past:
    """The runs of an instance, newest first; `file` is where they come from, None for the PV."""

    instance: Instance
    runs: Sequence[PastRun]
    file: Path | None


def history(arguments: argparse.Namespace) -> int:
    """Print the newest runs of instances; return 1 if one of them has no history here."""
    from bgrscrpt_ioc.cli.runtable import COLUMNS, row, table

    address = address_of(arguments)
    state = read_settings(arguments, ["state_dir"])["state_dir"]
    instances = instances_asked(arguments, address)
    mixed = several_prefixes(arguments, instances)
    if not arguments.name and arguments.config is None:
        known = {each.full_name for each in instances}
        instances += [
            each for each in _on_file(state, address.prefix, address.port, mixed=mixed)
            if each.full_name not in known
        ]  # fmt: skip
    found = past_of(instances, address.interfaces, state)
    lines = [
        (each.instance, run)
        for each in found
        for run in each.runs[: USUAL if arguments.lines is None else arguments.lines]
    ]
    names = {
        each.instance: each.instance.full_name if mixed else each.instance.name for each in found
    }
    if arguments.json:
        show_json(
            [{"name": each.name, "prefix": each.prefix, **asdict(run)} for each, run in lines]
        )
    elif (width := terminal_width()) is not None:
        only = len(instances) == 1
        write(table([("" if only else names[each], run) for each, run in lines], width))
    else:
        show([row(names[each], run) for each, run in lines], COLUMNS, as_json=False)
    missing = [each for each in instances if each not in names]
    if missing and (found or len(instances) > 1):
        missing = [each for each in missing if arguments.config is not None or arguments.name]
    for each in missing:
        file = history_of(state, each.full_name).path
        complain(
            f"{each.full_name}: no IOC answers for the PV {each.pv}HISTORY, and there is no file"
            f" {file}: give --state-dir or --config as the IOC has them"
        )
    return 1 if missing else 0


def past_of(instances: Sequence[Instance], interfaces: Sequence[str], state: Path) -> list[Past]:
    """Return the history of each instance that has one: from its file, if the file is its IOC's."""
    from bgrscrpt_ioc.client.pvs import text
    from bgrscrpt_ioc.client.readings import read_of_all

    readings = read_of_all(instances, interfaces, "HISTORY")
    found: list[Past] = []
    for each in instances:
        reading = readings.get(each)
        served = None if reading is None else rows(text(reading.value) or "")
        file = history_of(state, each.full_name).path
        kept = _kept(file)
        if reading is not None and reading.severity == Severity.MINOR:
            kept = None  # it lacks the newest
            complain(
                f"{each.full_name}: the IOC cannot save the history: see its log, and whether the"
                " disk is full; this is what the PV HISTORY has"
            )
        if served is None and kept is not None:
            kept = [lost(run) if run.how == How.RUNNING else run for run in kept]
            complain(f"{each.full_name}: no IOC answers; this is from {file}")
            found.append(Past(each, kept, file))
        elif served is not None and kept is not None and _agree(served, kept):
            found.append(Past(each, kept, file))
        elif served is not None:
            found.append(Past(each, served, None))
    return found


def _kept(file: Path) -> list[PastRun] | None:
    """Return the runs in a file, newest first; None if no file can be read."""
    try:
        return list(reversed(read(read_regular(file, MAX_READ))[0]))
    except OSError:
        return None


def _agree(served: Sequence[PastRun], kept: Sequence[PastRun]) -> bool:
    """Return whether the file belongs to the IOC that answers: both have one of the newest runs."""
    runs = {(run.number, run.start) for run in kept}
    return any((run.number, run.start) in runs for run in served[:3])


def _on_file(state: Path, prefix: str, port: int, *, mixed: bool) -> list[Instance]:
    """Return the instances with a history in the state directory; with `mixed`, of any prefix."""
    from urllib.parse import unquote

    names = sorted(
        unquote(each.stem.replace(".", ":")) for each in state.glob("*.history") if each.is_file()
    )
    begin = "" if mixed else prefix
    found: list[Instance] = []
    for full_name in names:
        head, colon, name = full_name.rpartition(":")
        its_prefix = prefix if prefix and full_name.startswith(prefix) else head + colon
        if full_name.startswith(begin) and file_name(full_name):
            found.append(Instance(its_prefix, full_name.removeprefix(its_prefix) or name, port))
    return found


# --- diff -----------------------------------------------------------------------------------------


def diff(arguments: argparse.Namespace) -> int:
    """Print as a unified diff what has changed in a script since a run.

    Raises:
        CommandFailed: the run or its text is not known here, or the script cannot be read.
    """
    import difflib

    from bgrscrpt_ioc.cli.runtable import moment

    address = address_of(arguments)
    state = read_settings(arguments, ["state_dir"])["state_dir"]
    (instance,) = address.instances([arguments.name])
    name = instance.full_name
    path = history_of(state, name).path
    runs = _kept(path)
    if runs is None:
        raise CommandFailed(
            f"{name}: no file {path}: run this command on the host of the IOC, and give"
            " --state-dir or --config as the IOC has them"
        )
    run = next((each for each in runs if arguments.run in (None, each.number)), None)
    if run is None:
        known = f"{runs[-1].number} to {runs[0].number}" if runs else "none"
        raise CommandFailed(f"{name}: run {arguments.run} is not known; known are {known}")
    if not run.sha256:
        raise CommandFailed(f"{name}: run {run.number} did not reach the script's first line")
    text = texts_of(state, name).file(run.sha256)
    script = Path(run.script)
    before = f"{script} as of run {run.number}, {moment(run)}"
    then = _lines(text, f"{name}: the text of run {run.number} is not kept")
    now = _lines(script, f"{name}: the script cannot be read")
    found = list(difflib.unified_diff(then, now, before, str(script), lineterm=""))
    if not found:
        complain(f"{name}: {script} has not changed since run {run.number}")
    write("".join(f"{visible(line, lines=True)}\n" for line in found))
    return 0


def _lines(path: Path, what: str) -> list[str]:
    try:
        return read_regular(path).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise CommandFailed(f"{what}: {path}: {error.strerror}") from error


def add_commands(add: Add) -> None:
    """Add the commands `history` and `diff`."""
    past = add(
        "history",
        history,
        "Show how and why the newest runs of instances ended, also those of earlier IOCs.",
    )
    past.add_argument("name", nargs="?", metavar="NAME", help="Name of the only instance to show.")
    past.add_argument(
        "-n",
        "--lines",
        type=count,
        metavar="N",
        help="Number of runs of each instance (default: 20).",
    )
    past.add_argument("--json", action="store_true", help="Print JSON.")
    difference = add(
        "diff",
        diff,
        "Show what has changed in a script since one of its runs, on the host of the IOC.",
    )
    difference.add_argument("name", metavar="NAME")
    difference.add_argument(
        "run", nargs="?", type=count, metavar="RUN", help="Number of the run (default: newest)."
    )
    for command in (past, difference):
        add_file(command, *WHERE, "state_dir")
