"""Makes metrics in Prometheus' format of the readings of all instances, when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bgrscrpt_ioc.lifecycle.events import State
from bgrscrpt_ioc.web.board import CONNECTING, NO_ANSWER, Board

LABELS = ("name", "prefix")
STATES = (*(state.name.capitalize() for state in State), "Hung", "Alarm", CONNECTING, NO_ANSWER)
# PV -> name, description, whether it only grows (until the IOC is started again)
NUMBERS = (
    ("RESTARTS", "restarts", "Runs that the IOC started by itself", True),
    ("STARTS", "starts", "Runs since the IOC started", True),
    ("LOG:COUNT", "log_lines", "Lines printed since the IOC started", True),
    ("LOG:DROPPED", "log_lines_dropped", "Lines that are not in the log file", True),
    ("HEARTBEAT", "heartbeats", "Number of the script's alive() calls", True),
    ("UPTIME", "uptime_seconds", "Length of this run, in seconds", False),
    ("CPU", "cpu_percent", "Processor use of the script, in percent of one core", False),
    ("PROCS", "processes", "Processes of the script", False),
    ("THREADS", "threads", "Threads of the script", False),
    ("PROGRESS", "progress_percent", "Progress that the script reports", False),
    ("EXITCODE", "exit_code", "Last exit code; -N for signal N", False),
)


class _Instances(Collector):
    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Return all metrics of now."""
        now = time.time()
        up = GaugeMetricFamily("bgrscrpt_ioc_up", "Whether the IOC answers", labels=LABELS)
        state = GaugeMetricFamily(
            "bgrscrpt_state", "1 for the state of the script", labels=(*LABELS, "state")
        )
        memory = GaugeMetricFamily(
            "bgrscrpt_memory_bytes", "Memory of the script's processes", labels=LABELS
        )
        age = GaugeMetricFamily(
            "bgrscrpt_heartbeat_age_seconds",
            "Time since the last heartbeat, in seconds",
            labels=LABELS,
        )
        registered = GaugeMetricFamily(
            "bgrscrpt_registered", "Whether the IOC registry has the script", labels=LABELS
        )
        numbers = {
            pv: (CounterMetricFamily if grows else GaugeMetricFamily)(
                f"bgrscrpt_{name}", text, labels=LABELS
            )
            for pv, name, text, grows in NUMBERS
        }
        for shown in self._board:
            labels = [shown.instance.name, shown.instance.prefix]
            if shown.looked:
                up.add_metric(labels, float("STATUS" in shown.readings))
            for each in STATES:
                state.add_metric([*labels, each], float(shown.state == each))
            for pv, family in numbers.items():
                if (value := shown.value(pv)) is not None:
                    family.add_metric(labels, float(value))
            if (value := shown.value("MEMORY")) is not None:
                memory.add_metric(labels, value * 1e6)
            if shown.beat_at is not None and "STATUS" in shown.readings:
                age.add_metric(labels, max(0.0, now - shown.beat_at))
            if (value := shown.value("REGISTERED")) is not None:
                registered.add_metric(labels, float(value == "Yes"))
        yield from (up, state, memory, age, registered, *numbers.values())


class Metrics:
    """The answers to `/metrics`."""

    def __init__(self, board: Board) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Instances(board))

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
