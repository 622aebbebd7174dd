"""Any sequence of registrations, stops, outages and IOC restarts ends in the rows of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrscrpt_ioc.registry import dbconnection
from bgrscrpt_ioc.registry import registry as registry_module
from bgrscrpt_ioc.registry.registry import PvRow
from tests.registry.backends import Backend, SqliteBackend
from tests.registry.watching import STARTED, Watched

NAMES = ["BGRSCRPT_01", "BGRSCRPT_02", "ŽLUŤ", "名前"]
names = st.sampled_from(NAMES)
texts = st.text(max_size=120)
pvs = st.dictionaries(
    st.sampled_from(["A", "B:Ж", "c"]),
    st.tuples(texts, st.dictionaries(st.sampled_from(["archive", "ALARM"]), texts, max_size=2)),
    max_size=3,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("register"), names, pvs, texts),
        st.tuples(st.just("stop"), names),
        st.tuples(st.sampled_from(["break", "mend", "written", "restart"])),
    ),
    max_size=14,
)


@dataclass
class Model:
    """What the tables should hold."""

    iocrt: dict[str, list[Any]] = field(default_factory=dict)  # [running, pid, start, stop, path]
    pvs: dict[str, Any] = field(default_factory=dict)
    now: int = int(STARTED)

    def register(self, name: str, rows: list[PvRow], path: str) -> None:
        self.iocrt[name] = [1, self.now % 30000 + 1, self.now, 1, kept(path, 100)]
        self.pvs[name] = {
            row.name: (kept(row.desc, 40), {k: kept(v, 100) for k, v in row.infos.items()})
            for row in rows
        }

    def stop(self, name: str) -> None:
        row = self.iocrt.get(name)
        if row and row[0]:
            row[0], row[1], row[3] = 0, None, self.now


def kept(text: str, limit: int) -> str:
    return text.encode("utf-8", "replace").decode()[:limit]


def found(backend: Backend) -> Model:
    """The same, read by plain SQL."""
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


@pytest.fixture
def impatient(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off and settling in hundredths of a second."""
    monkeypatch.setattr(registry_module, "BACKOFF", 0.02)
    monkeypatch.setattr(registry_module, "BACKOFF_MAX", 0.1)
    monkeypatch.setattr(registry_module, "SETTLE", 0.0)
    if isinstance(backend, SqliteBackend):
        monkeypatch.setattr(dbconnection, "LOCK_TIMEOUT", 0.01)


@pytest.mark.usefixtures("impatient")
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_rows_end_as_in_the_model(backend: Backend, tmp_path: Path, steps: list[Any]) -> None:
    """Whatever happened, once the database answers it holds the last of what was wanted."""
    model = Model()
    backend.mend()
    backend.clear()
    watched = Watched(backend.url, tmp_path / "state")
    for step, *values in steps:
        model.now += 1
        match step:
            case "register":
                name, asked, path = values
                rows = [PvRow(f"{name}:{pv}", "ai", *rest) for pv, rest in asked.items()]
                watched.registry.register(
                    name,
                    pid=model.now % 30000 + 1,
                    exe_path=path,
                    started=model.now,
                    pvs=rows,
                )
                model.register(name, rows, path)
            case "stop":
                watched.registry.stopped(values[0], model.now)
                model.stop(values[0])
            case "break":
                backend.spoil()
            case "mend":
                backend.mend()
            case "written":
                backend.mend()
                watched.until_written()
            case "restart":  # of an IOC that died before it could tell of a stop
                watched.registry.close(5)
                watched = Watched(backend.url, tmp_path / "state")
                watched.registry.reconcile(NAMES, model.now)
                for name in NAMES:
                    model.stop(name)
    backend.mend()
    watched.until_written()
    if model.iocrt:
        result = found(backend)
        assert (result.iocrt, result.pvs) == (model.iocrt, model.pvs)
        for name, row in model.iocrt.items():
            assert watched.registry.status(name).registered == bool(row[0])
            watched.registry.stopped(name, model.now)
    watched.registry.close(5)
    assert list((tmp_path / "state" / "registry").glob("*.json")) == []
