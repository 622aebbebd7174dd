"""Runs a job at a time of day, or every so many minutes, for ever.

`env = { WHEN = "06:00" }` is once a day at six, local time, also on days when the clocks change;
`WHEN = "15"` is at every quarter of an hour. When runs were missed, because the machine slept or
its clock was set forward, the job runs once. A job that raises an exception runs again next time.
"""

import os
import time
import traceback
from datetime import datetime, timedelta, timezone

import bgrscrpt
from server_common.helpers import register_ioc_start

WHEN = os.environ.get("WHEN", "06:00")
LOOK = 10.0  # s between two looks at the clock, which may be set while we sleep


def job():
    """Put your job here."""
    print("the job runs")


def every(minutes):
    """Make a schedule: at each multiple of these minutes, counted in UTC."""

    def after(now):
        period = minutes * 60
        return datetime.fromtimestamp((now.timestamp() // period + 1) * period, timezone.utc)

    return after


def daily(text):
    """Make a schedule: each day at this local time, once.

    When the clocks go forward over this time, the job runs an hour later by the new time. When they
    go back over it, the job runs the first time.
    """
    at = datetime.strptime(text, "%H:%M").time()

    def after(now):
        day = now.astimezone().date() - timedelta(days=1)
        while True:
            due = datetime.fromtimestamp(datetime.combine(day, at).timestamp(), timezone.utc)
            if due > now:
                return due
            day += timedelta(days=1)

    return after


class Timetable:
    """Knows when the next run is due, also after the clock was set forward or back."""

    def __init__(self, after, now):
        self.after = after
        self.last = None
        self.due = after(now)

    def is_due(self, now):
        """Return whether to run now; if so, wait for the next time after that."""
        if now >= self.due:
            self.last, self.due = self.due, self.after(now)
            return True
        due = self.after(now)
        if due == self.last:  # the clock was set back a little, to before the last run
            due = self.after(due)
        self.due = min(self.due, due)  # the clock was set back a lot: do not wait for years
        return False


def run(job):
    """Run the job, and return how it ended."""
    try:
        job()
    except Exception as error:  # noqa: BLE001 - whatever a job raises: it runs again next time
        traceback.print_exc()
        return f"failed: {error!r}"
    return "done"


def main():
    register_ioc_start(os.environ["BGRSCRPT_NAME"])
    schedule = daily(WHEN) if ":" in WHEN else every(float(WHEN))
    timetable, told = Timetable(schedule, datetime.now(timezone.utc)), "not run yet"
    while True:
        now = datetime.now(timezone.utc)
        if timetable.is_due(now):
            told = f"{now.astimezone():%d %b %H:%M} {run(job)}"
        bgrscrpt.message(f"{told}; next {timetable.due.astimezone():%d %b %H:%M}")
        bgrscrpt.alive()
        left = (timetable.due - datetime.now(timezone.utc)).total_seconds()
        time.sleep(min(LOOK, max(0, left)))


if __name__ == "__main__":
    main()
