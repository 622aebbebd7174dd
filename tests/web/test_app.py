"""The addresses of the web page, tested without a network."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bgrscrpt_ioc.client.instance import Instance
from bgrscrpt_ioc.client.ownpvs import OwnPv
from bgrscrpt_ioc.lifecycle.events import CommandFailed
from bgrscrpt_ioc.web.answers import LARGEST
from bgrscrpt_ioc.web.app import PAGES, WebPage
from bgrscrpt_ioc.web.board import Board, OwnReading, ShownValue
from bgrscrpt_ioc.web.events import Audience
from bgrscrpt_ioc.web.guard import Guard
from bgrscrpt_ioc.web.puts import PutThreads

METRICS = (
    "ioc_up", "state", "memory_bytes", "heartbeat_age_seconds", "registered", "restarts", "starts",
    "log_lines", "log_lines_dropped", "heartbeats", "uptime_seconds", "cpu_percent", "processes",
    "threads", "progress_percent", "exit_code",
)  # fmt: skip
TOKEN = {"authorization": "Bearer word"}
HISTORY = '{"run": 2, "reason": "exit 1"}\nnot JSON\n{"run": 1, "reason": "exit 0"}'

OWN = (
    OwnReading(OwnPv("LEVEL", "ai", description="of the tank"), 50.5, "MINOR", {"unit": "%"}),
    OwnReading(OwnPv("SP", "ao", writable=True), 1.0, "NO_ALARM"),
    OwnReading(OwnPv("TEXT", "CHAR", writable=True, size=10), "", "NO_ALARM"),
    OwnReading(OwnPv("LIST", "DOUBLE", writable=True, size=10), [1.0, "nan"], "NO_ALARM"),
)


class FakePuts:
    """Receives commands in place of an IOC."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, object]] = []

    async def put(self, instance: Instance, record: str, value: int) -> None:
        """Note the put; STOP fails."""
        self.done.append((instance.full_name, record, value))
        if record == "STOP":
            raise CommandFailed("the script does not end")

    async def set_own(self, instance: Instance, name: str, value: object) -> None:
        """Note the put; a 13 fails."""
        self.done.append((instance.full_name, name, value))
        if value == 13:
            raise CommandFailed("the script has refused the value")


@pytest.fixture
def puts() -> FakePuts:
    """Make a stand-in that receives commands."""
    return FakePuts()


@pytest.fixture
async def web(puts: FakePuts) -> AsyncIterator[httpx.AsyncClient]:
    """Make a client of a page that shows two instances."""
    board = Board()
    shown = board.add(Instance("TE:", "A", 5064))
    board.give_up(board.add(Instance("TE:", "B", 5064)))
    board.add(Instance("TE:", "C", 5064))
    readings = {
        "STATUS": ShownValue("Running"),
        "LOG": ShownValue("one\ntwo\nthr"),
        "HISTORY": ShownValue(HISTORY),
        "CPU": ShownValue(3.5),
        "RESTARTS": ShownValue(4),
        "MEMORY": ShownValue(12.5),
        "REGISTERED": ShownValue("Yes"),
    }
    board.take(shown, readings, 0.0)
    board.take_own(shown, {each.pv.name: each for each in OWN})
    board.sample(1.0)
    page = WebPage(board, Audience(), cast(PutThreads, puts), Guard("word", ()))
    transport = httpx.ASGITransport(page.application())
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_files(web: httpx.AsyncClient) -> None:
    """Pages and their files are served, load nothing from other sites, and set secure headers."""
    for name in PAGES:
        path = {"overview.html": "/", "instance.html": "/instances/TE:A"}.get(
            name, f"/static/{name}"
        )
        answer = await web.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == PAGES[name]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "http" not in answer.text.replace("http://www.w3.org/", "")
        assert "innerHTML" not in answer.text


async def test_other_names(web: httpx.AsyncClient) -> None:
    """A request for another host is refused, whatever a proxy's header says."""
    answer = await web.get("/", headers={"host": "evil.example", "x-forwarded-host": "localhost"})
    assert answer.status_code == 421
    assert "--allow-host" in answer.text


async def test_instances(web: httpx.AsyncClient) -> None:
    """Programs get the list of instances, one instance, its log, its runs and its plots."""
    listed = (await web.get("/api/instances")).json()
    assert [(each["name"], each["state"]) for each in listed] == [
        ("TE:B", "No answer"),
        ("TE:C", "Connecting"),
        ("TE:A", "Running"),
    ]
    one = (await web.get("/api/instances/A")).json()
    assert one["pvs"]["CPU"] == {"value": 3.5, "severity": "NO_ALARM"}
    assert (await web.get("/api/instances/A/log?lines=1")).json() == {
        "first": 2,
        "lines": ["two"],
        "open": "thr",
    }
    assert [each["run"] for each in (await web.get("/api/instances/A/history")).json()] == [2, 1]
    assert (await web.get("/api/instances/A/trend?pv=CPU")).json() == {"CPU": [[1.0, 3.5]]}


@pytest.mark.parametrize("part", ["", "/log", "/history", "/trend"])
async def test_unknown_instances(web: httpx.AsyncClient, part: str) -> None:
    """An instance that is not shown is a 404 with its name."""
    answer = await web.get(f"/api/instances/NOBODY{part}")
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("NOBODY: ")


async def test_metrics(web: httpx.AsyncClient) -> None:
    """Prometheus gets one set of metrics for all instances, without unknown values."""
    lines = (await web.get("/metrics")).text.splitlines()
    a, b = '{name="A",prefix="TE:"}', '{name="B",prefix="TE:"}'
    assert f"bgrscrpt_ioc_up{a} 1.0" in lines
    assert f"bgrscrpt_ioc_up{b} 0.0" in lines
    assert 'bgrscrpt_state{name="A",prefix="TE:",state="Running"} 1.0' in lines
    assert 'bgrscrpt_state{name="B",prefix="TE:",state="No answer"} 1.0' in lines
    assert f"bgrscrpt_restarts_total{a} 4.0" in lines
    assert f"bgrscrpt_memory_bytes{a} 1.25e+07" in lines
    assert f"bgrscrpt_registered{a} 1.0" in lines
    assert not [line for line in lines if line.startswith(f"bgrscrpt_cpu_percent{b}")]
    # An IOC that had no time to answer is not down.
    assert not [line for line in lines if line.startswith("bgrscrpt_ioc_up") and '"C"' in line]
    assert 'bgrscrpt_state{name="C",prefix="TE:",state="Connecting"} 1.0' in lines


async def test_metrics_as_prometheus_wants_them(web: httpx.AsyncClient) -> None:
    """The metrics are those that we promise, in a form that `promtool check metrics` accepts."""
    answer = await web.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    assert set(families) == {f"bgrscrpt_{name}" for name in METRICS}
    for name, family in families.items():
        assert family.documentation
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), "no colon, no capital letter"
        assert not {"gauge", "counter", "summary", "histogram", "total"} & set(name.split("_"))
        assert not {"s", "sec", "ms", "us", "b", "kb", "mb", "kilobytes"} & set(name.split("_"))
        for sample in family.samples:
            assert sample.name == name + "_total" * (family.type == "counter")
            assert set(sample.labels) <= {"name", "prefix", "state"}
        labels = [tuple(sorted(sample.labels.items())) for sample in family.samples]
        assert len(labels) == len(set(labels))


async def test_commands(web: httpx.AsyncClient, puts: FakePuts) -> None:
    """With the token, commands are carried out; one that fails gives the IOC's reason."""
    answer = await web.post("/api/instances/TE:A/restart", headers=TOKEN)
    assert (answer.status_code, answer.json()) == (200, {"done": True})
    answer = await web.post("/api/instances/TE:A/stop", headers=TOKEN)
    assert (answer.status_code, answer.json()) == (409, {"error": "the script does not end"})
    answer = await web.post("/api/instances/A/autorestart", headers=TOKEN, json={"on": False})
    assert answer.status_code == 200
    assert puts.done == [("TE:A", "RESTART", 1), ("TE:A", "STOP", 1), ("TE:A", "AUTORESTART", 0)]


async def test_pvs_of_the_script(web: httpx.AsyncClient, puts: FakePuts) -> None:
    """PVs of the script are shown with description and unit, plotted, and set with the token."""
    one = (await web.get("/api/instances/A")).json()
    assert one["own"]["LEVEL"] == {
        "value": 50.5, "severity": "MINOR", "kind": "ai", "size": 1, "writable": False,
        "description": "of the tank", "unit": "%",
    }  # fmt: skip
    assert (await web.get("/api/instances/A/trend?pv=SP")).json() == {"SP": [[1.0, 1.0]]}
    for name, value in (("SP", 5), ("SP", "5"), ("TEXT", "x"), ("LIST", [1, 2])):
        path = f"/api/instances/A/pvs/{name}"
        assert (await web.post(path, json={"value": value})).status_code == 403
        assert (await web.post(path, headers=TOKEN, json={"value": value})).status_code == 200
        assert puts.done.pop() == ("TE:A", name, value)
    answer = await web.post("/api/instances/A/pvs/SP", headers=TOKEN, json={"value": 13})
    assert (answer.status_code, answer.json()["error"]) == (409, "the script has refused the value")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("NONE", 1, 404), ("STATUS", 1, 404), ("LEVEL", 1, 409), ("SP", None, 400),
        ("SP", [1], 400), ("SP", 10**400, 400), ("TEXT", 5, 400),
        ("LIST", 5, 400), ("LIST", ["x"], 400),
    ],
)  # fmt: skip
async def test_values_that_a_pv_cannot_have(
    web: httpx.AsyncClient, puts: FakePuts, name: str, value: object, code: int
) -> None:
    """A value that the PV cannot have gives an error that names the PV; nothing is put."""
    path = f"/api/instances/A/pvs/{name}"
    answer = await web.post(path, headers=TOKEN, json={"value": value})
    assert answer.status_code == code
    assert name in answer.json()["error"]
    assert not puts.done


@pytest.mark.parametrize(
    ("path", "code"),
    [("A/explode", 404), ("NOBODY/start", 404), ("A/autorestart", 400)],
)
async def test_bad_commands(web: httpx.AsyncClient, puts: FakePuts, path: str, code: int) -> None:
    """An unknown command, or one without its value, gives an error that lists the commands."""
    answer = await web.post(f"/api/instances/{path}", headers=TOKEN)
    assert answer.status_code == code
    assert answer.json()["error"]
    assert not puts.done


async def test_nobody_commands_without_the_token(web: httpx.AsyncClient, puts: FakePuts) -> None:
    """No command is accepted by GET, without a session, or from another site's page."""
    assert (await web.get("/api/instances/A/start")).status_code == 405
    assert (await web.post("/api/instances/A/start")).status_code == 403
    answer = await web.post("/api/login", json={"token": "word"})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert (await web.post("/api/instances/A/start")).status_code == 403  # without the CSRF token
    csrf = {"x-csrf-token": answer.json()["csrf"]}
    foreign = {**csrf, "origin": "http://evil.example"}
    assert (await web.post("/api/instances/A/start", headers=foreign)).status_code == 403
    assert not puts.done
    assert (await web.post("/api/instances/A/start", headers=csrf)).status_code == 200
    assert (await web.get("/api/session")).json()["csrf"] == answer.json()["csrf"]
    assert (await web.post("/api/logout", headers=csrf)).status_code == 200
    assert (await web.post("/api/instances/A/start", headers=csrf)).status_code == 403


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b'{"token": 1}'])
async def test_bodies(web: httpx.AsyncClient, body: bytes) -> None:
    """A login with any other body than the token is refused."""
    assert (await web.post("/api/login", content=body)).status_code == 403


async def test_a_large_body(web: httpx.AsyncClient) -> None:
    """The server reads no more of a body than a token can need."""
    body = json.dumps({"token": "word", "more": "x" * LARGEST}).encode()
    assert (await web.post("/api/login", content=body)).status_code == 403


async def test_openapi(web: httpx.AsyncClient) -> None:
    """The OpenAPI description names each address for programs, and each exists."""
    described: dict[str, Any] = (await web.get("/api/openapi.json")).json()
    assert described["openapi"].startswith("3.1")
    for path, ways in described["paths"].items():
        for way in ways:
            headers = TOKEN if way == "post" else {}
            address = path.replace("{name}", "TE:A").replace("{pv}", "SP")
            answer = await web.request(way, address, headers=headers, json={"value": 1})
            assert answer.status_code in (200, 409), path
