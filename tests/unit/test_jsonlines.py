"""Lines of JSON: each is one object with the same keys, whatever a script prints."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.output.jsonlines import JsonLines

AT = 1_795_940_104.1239  # 2026-11-29T08:15:04.123 UTC


def objects(lines: bytes) -> list[dict[str, Any]]:
    """Return the objects of lines, each read by itself, as a collector does."""
    assert lines.endswith(b"\n")
    return [json.loads(line) for line in lines[:-1].split(b"\n")]


def test_of_a_script() -> None:
    """Each line of a script is one object without the newline; invalid UTF-8 is replaced."""
    found = objects(JsonLines("TE:").output("A", b'one "1"\r\n\ntwo \xff\x1b[31m\n', AT))
    assert [each["message"] for each in found] == ['one "1"', "", "two \ufffd\x1b[31m"]
    for each in found:
        assert each | {"message": ""} == {
            "time": "2026-11-29T08:15:04.123Z",
            "level": "info",
            "instance": "TE:A",
            "stream": "script",
            "message": "",
        }


def test_of_the_ioc() -> None:
    """A message of the IOC has its level; a put also has user, PV and values."""
    put = {"user": "ann", "pv": "TE:A:STOP", "new": 1, "old": 0}
    (said,) = objects(JsonLines().message("two\nlines \ud800", AT, "error"))
    (done,) = objects(JsonLines().message("a put", AT, put=put))
    assert (said["level"], said["stream"], said["message"]) == ("error", "ioc", "two\nlines ?")
    assert (done["stream"], done["put"]) == ("put", put)
    assert list(said) == ["time", "level", "instance", "stream", "message"]


@given(st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"")), min_size=1))
def test_any_output(lines: list[bytes]) -> None:
    """Any output gives as many objects as lines."""
    assert len(objects(JsonLines().output("A", b"\n".join(lines) + b"\n", AT))) == len(lines)
