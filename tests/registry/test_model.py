"""Any sequence of registrations, stops, outages and IOC restarts ends in the rows of a model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrscrpt_ioc.registry.registry import PvRow, Times
from tests.registry.backends import Backend, SqliteBackend
from tests.registry.watching import STARTED, Watched

NAMES = ["BGRSCRPT_01", "BGRSCRPT_02", "ŽLUŤ", "名前"]
names = st.sampled_from(NAMES)
INSTANCES = NAMES[:3]
instances = st.sampled_from(INSTANCES)
texts = st.text(max_size=120)
pvs = st.dictionaries(
    st.sampled_from(["A", "B:Ж", "c"]),
    st.tuples(texts, st.dictionaries(st.sampled_from(["archive", "ALARM"]), texts, max_size=2)),
    max_size=3,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("register"), names, instances, pvs, texts),
        st.tuples(st.just("end"), instances),
        st.tuples(st.sampled_from(["break", "mend", "written", "restart"])),
    ),
    max_size=14,
)


@dataclass
class Model:
    """What the tables should have, and who has registered what."""

    iocrt: dict[str, list[Any]] = field(default_factory=dict)  # [running, pid, start, stop, path]
    pvs: dict[str, Any] = field(default_factory=dict)
    now: int = int(STARTED)
    runs: dict[str, int] = field(default_factory=dict)  # instance -> when its run began
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> instance -> its rows

    def register(self, name: str, instance: str, rows: list[PvRow], path: str) -> None:
        began = self.runs.setdefault(instance, self.now)
        asked = self.asked.setdefault(name, {})
        asked.pop(instance, None)  # to the end
        wanted = {
            row.name: (kept(row.desc, 100), {k: kept(v, 100) for k, v in row.infos.items()})
            for row in rows
        }
        asked[instance] = [1, pid(began), began, 1, kept(path, 100)], wanted
        self._show(name)

    def end(self, instance: str) -> list[str]:
        """End the run of an instance; return the names that it had registered."""
        self.runs.pop(instance, None)
        names = [name for name, asked in self.asked.items() if instance in asked]
        for name in names:
            asked = self.asked[name]
            last = list(asked)[-1] == instance
            del asked[instance]
            if asked and last:
                self._show(name)
            elif not asked:
                row = self.iocrt[name]
                row[0], row[1], row[3] = 0, None, self.now
        return names

    def end_all(self) -> None:
        """Let the IOC die with all runs: each row is that of the last run to register."""
        self.runs.clear()
        for name, asked in self.asked.items():
            if asked:
                row = self.iocrt[name]
                row[0], row[1], row[3] = 0, None, self.now
                asked.clear()

    def _show(self, name: str) -> None:
        """Give the row and the PVs of a name to the last run that lives."""
        row, wanted = list(self.asked[name].values())[-1]
        self.iocrt[name], self.pvs[name] = list(row), wanted


def pid(began: int) -> int:
    return began % 30000 + 1


def kept(text: str, limit: int) -> str:
    return text.encode("utf-8", "replace").decode()[:limit]


def found(backend: Backend) -> Model:
    """Return the same from the database, in plain SQL."""
    seconds = "UNIX_TIMESTAMP({})" if "mysql" in backend.url else "strftime('%s', {})"
    start, stop = seconds.format("start_time"), seconds.format("stop_time")
    model = Model()
    for name, running, pid, began, ended, path in backend.sql(
        f"SELECT iocname, running, pid, {start}, {stop}, exe_path FROM iocrt"  # noqa: S608 - no value
    ):
        model.iocrt[name] = [running, pid, int(began), int(ended), path]
        model.pvs[name] = {}
    for name, ioc, desc in backend.sql("SELECT pvname, iocname, record_desc FROM pvs"):
        model.pvs[ioc][name] = (desc, {})
    for ioc, name, info, value in backend.sql(
        "SELECT iocname, p.pvname, infoname, value FROM pvinfo i JOIN pvs p ON i.pvname = p.pvname"
    ):
        model.pvs[ioc][name][1][info] = value
    return model


TIMES = Times(backoff=0.02, backoff_max=0.1, settle=0.0)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_rows_end_as_in_the_model(backend: Backend, tmp_path: Path, steps: list[Any]) -> None:
    """Whatever happened, when the database answers it has the last of what was wanted."""
    model = Model()
    backend.mend()
    backend.clear()
    times = replace(TIMES, lock=0.01) if isinstance(backend, SqliteBackend) else TIMES
    # A directory of its own, because a failed example may leave something there.
    state = Path(mkdtemp(dir=tmp_path))
    watched = Watched(backend.url, state, times)
    for step, *values in steps:
        model.now += 1
        match step:
            case "register":
                name, instance, asked, path = values
                rows = [PvRow(f"{name}:{pv}", "ai", *rest) for pv, rest in asked.items()]
                model.register(name, instance, rows, path)
                began = model.runs[instance]
                watched.registry.register(
                    name, instance=instance, pid=pid(began), exe_path=path, started=began, pvs=rows
                )
            case "end":
                for name in model.end(values[0]):
                    watched.registry.stopped(name, model.now, instance=values[0])
            case "break":
                backend.spoil()
            case "mend":
                backend.mend()
            case "written":
                backend.mend()
                watched.until_written()
            case "restart":  # of an IOC that died before it could tell of a stop
                watched.registry.close(5)
                watched = Watched(backend.url, state, times)
                watched.registry.reconcile(INSTANCES, model.now)
                model.end_all()
    backend.mend()
    watched.until_written()
    if model.iocrt:
        result = found(backend)
        assert (result.iocrt, result.pvs) == (model.iocrt, model.pvs)
        for name, asked in model.asked.items():
            for instance in asked:
                watched.registry.stopped(name, model.now, instance=instance)
    watched.registry.close(5)
    assert list((state / "registry").glob("*.json")) == []
