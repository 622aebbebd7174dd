"""Writes PVs into CSV files: one for each day, and a further one whenever that is full.

A PV that is disconnected or INVALID leaves its cell empty. Each row is on disk before the next one
is taken, and a restart goes on in the same file. Settings, with what they are unless `env` says so:
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
    """Make a line of CSV of these cells."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def has_room(path, header):
    """Tell whether the file has these columns and room; make it where there is none."""
    if not path.exists() or path.stat().st_size == 0:
        path.write_bytes(header)
    with path.open("rb") as file:
        size = path.stat().st_size
        return file.readline() == header and (size < MAX_BYTES or size == len(header))


def file_for(day, header):
    """Find the file of the day that is written to: 2026-11-24.csv, 2026-11-24_2.csv, ..."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    names = (f"{day}.csv" if number == 1 else f"{day}_{number}.csv" for number in count(1))
    return next(path for path in map(DIRECTORY.joinpath, names) if has_room(path, header))


def append(path, row):
    """Add a row; half a row, of a power cut or a full disk, is taken away first."""
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
    """What the PV reads; empty where there is nothing to be believed."""
    if not pv.connected or pv.severity == epics.INVALID_ALARM:
        return ""
    value = pv.get(as_string=pv.type.endswith(("enum", "string", "char")))
    return "" if value is None else value


def main():
    register_ioc_start(os.environ["BGRSCRPT_NAME"])
    pvs = [epics.PV(name) for name in PVS]
    header, told = line(["time", *PVS]), None
    while True:
        now = datetime.now().astimezone()
        row = line([now.isoformat(timespec="milliseconds"), *map(reading, pvs)])
        try:
            path = file_for(now.date(), header)
            append(path, row)
            said = f"writing {path}"
        except OSError as error:  # the disk is full, or the share is gone: the next row may do
            said = f"cannot write: {error}"
        if said != told:
            told = said
            print(said)
            bgrscrpt.message(said)
        bgrscrpt.alive()
        time.sleep(INTERVAL - time.time() % INTERVAL)  # on the full ten seconds


if __name__ == "__main__":
    main()
