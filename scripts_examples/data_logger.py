"""Writes PVs into CSV files: one file a day, and a new file when a file is full.

A PV that is disconnected or INVALID leaves its cell empty. Each row is on disk before the next row
is taken. After a restart the script goes on in the same file. Settings in `env`, with defaults:
PVS (the blocks below), DIRECTORY ("data"), INTERVAL (10 s), MAX_BYTES (10 million).
"""

import csv
import io
import os
import time
from datetime import datetime
from itertools import count
from pathlib import Path

import bgrscrpt
import epics
from server_common.helpers import register_ioc_start

PREFIX = os.environ["MYPVPREFIX"] + "CS:SB:"
PVS = os.environ.get("PVS", f"{PREFIX}Temp_Sample {PREFIX}Temp_SP").split()
DIRECTORY = Path(os.environ.get("DIRECTORY", "data"))
INTERVAL = float(os.environ.get("INTERVAL", "10"))
MAX_BYTES = int(os.environ.get("MAX_BYTES", "10000000"))


def line(cells):
    """Return these cells as a line of CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def has_room(path, header):
    """Return whether the file has these columns and room; make the file if there is none."""
    if not path.exists() or path.stat().st_size == 0:
        path.write_bytes(header)
    with path.open("rb") as file:
        size = path.stat().st_size
        return file.readline() == header and (size < MAX_BYTES or size == len(header))


def file_for(day, header):
    """Return the file to write to: 2026-11-24.csv, or 2026-11-24_2.csv and so on."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    names = (f"{day}.csv" if number == 1 else f"{day}_{number}.csv" for number in count(1))
    return next(path for path in map(DIRECTORY.joinpath, names) if has_room(path, header))


def append(path, row):
    """Add a row, after removing half a row that a power cut or a full disk has left."""
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.seek(0, os.SEEK_END)
        file.write(row)
        file.flush()
        os.fsync(file.fileno())


def reading(pv):
    """Read a PV; the cell is empty if the PV is disconnected, in INVALID alarm or just lost."""
    try:
        if not pv.connected:
            return ""
        is_text = pv.type.endswith(("enum", "string", "char"))
        got = pv.get_with_metadata(as_string=is_text, use_monitor=False, timeout=2)
    except (AttributeError, epics.ca.ChannelAccessException, epics.ca.ChannelAccessGetFailure):
        return ""  # it went away between two of these calls
    if not got or got["value"] is None or got["severity"] == epics.INVALID_ALARM:
        return ""
    value = got["value"]
    if hasattr(value, "tolist"):  # an array: its elements, with spaces between them
        value = " ".join(map(str, value.tolist())) if value.ndim else value.tolist()
    return value.replace("\n", " ") if isinstance(value, str) else value


def write(now, cells, header):
    """Write a row; return where it is, or why it could not be written."""
    try:
        path = file_for(now.date(), header)
        append(path, line([now.isoformat(timespec="milliseconds"), *cells]))
    except OSError as error:  # the disk is full, or the share is gone: try again with the next row
        return f"cannot write to {DIRECTORY}: {error}; rows are lost until it can be written"
    empty = [name for name, cell in zip(PVS, cells) if cell == ""]  # noqa: B905
    return f"writing {path}" + (f"; no value of {', '.join(empty)}" if empty else "")


def main():
    register_ioc_start(os.environ["BGRSCRPT_NAME"])
    # Without monitors: when an IOC restarts with a PV of another type, pyepics keeps the old value.
    pvs = [epics.PV(name, form="time", auto_monitor=False) for name in PVS]
    header, told = line(["time", *PVS]), None
    for pv in pvs:
        pv.wait_for_connection(timeout=1)  # PVs that exist answer soon: do not report them
    while True:
        said = write(datetime.now().astimezone(), [reading(pv) for pv in pvs], header)
        if said != told:  # print events, not rows
            told = said
            print(said)
            bgrscrpt.message(said)
        bgrscrpt.alive()
        time.sleep(INTERVAL - time.time() % INTERVAL)  # on the full ten seconds


if __name__ == "__main__":
    main()
