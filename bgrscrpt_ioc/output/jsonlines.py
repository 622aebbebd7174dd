"""What the IOC and its scripts say as JSON lines, for Loki or Elastic: one object a line. Pure.

Each object has `time` (ISO 8601, UTC), `level`, `instance` ("" for the IOC itself), `stream`
(`script`, `ioc` or `put`) and `message`; an object of a put has the put as caPutLog's JSON too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Any


def timestamp(at: float) -> str:
    """Return a time, s since the epoch, as `2026-11-29T08:15:04.123Z`."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


class JsonLines:
    """Makes lines of JSON. `prefix` is that of the PVs: with it an instance has a unique name."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix

    def show_names(self, names: bool) -> None:
        """Do nothing: an object always names its instance."""

    def output(self, name: str, raw: bytes, at: float) -> bytes:
        """Return whole lines of a script's output, an object for each.

        Args:
            name: of the instance.
            raw: the lines as the script has printed them.
            at: time when they came.
        """
        begin = _object(at, "info", self._prefix + name, "script")
        text = raw.decode("utf-8", "replace").removesuffix("\n").replace("\r\n", "\n")
        return "".join(
            f"{begin}{encode_basestring(line)}}}\n" for line in text.split("\n")
        ).encode()

    def message(
        self, text: str, at: float, level: str = "info", put: Mapping[str, Any] | None = None
    ) -> bytes:
        """Return a message of the IOC; `put` is what it says of a put."""
        begin = _object(at, level, "", "ioc" if put is None else "put")
        more = "" if put is None else f',"put":{_dumped(put)}'
        return f"{begin}{_dumped(text)}{more}}}\n".encode("utf-8", "replace")

    def missed(self, lines: int, at: float) -> bytes:
        """Return a message that lines of scripts are not among these."""
        return self.message(f"{lines} lines not echoed", at, "warning")


def _object(at: float, level: str, instance: str, stream: str) -> str:
    """Return the begin of an object, up to its message."""
    given = {"time": timestamp(at), "level": level, "instance": instance, "stream": stream}
    return f'{_dumped(given)[:-1]},"message":'


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
