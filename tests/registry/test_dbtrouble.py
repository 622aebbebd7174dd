"""Passwords stay hidden and lines stay short, whatever they are made of."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.registry.dbtrouble import Place, masked, scrubbed, short

texts = st.text(st.characters(exclude_categories=()))  # lone surrogates too
secrets = st.text("abcXYZ019$+ %@:/?#&ŽЖ'\"\\", min_size=5).map(lambda text: f"Q{text}Q")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql+pymysql://iocdb:$iocdb@127.0.0.1/iocdb", "mysql+pymysql://iocdb:***@127.0.0.1/iocdb"),
        ("mysql+pymysql://u:p@w:x/y@h:3306/db", "mysql+pymysql://u:***@h:3306/db"),
        ("mysql://h/db?user=u&password=secret", "mysql://h/db?user=u&password=***"),
        ("mysql://u@h/db", "mysql://u@h/db"),
        ("sqlite:////var/lib/a:b@c.sqlite", "sqlite:////var/lib/a:b@c.sqlite"),
        ("no url", "no url"),
    ],
)  # fmt: skip
def test_masked(url: str, shown: str) -> None:
    """Only the password of a URL is replaced."""
    assert masked(url) == shown


@given(secret=secrets, before=st.text(), after=st.text())
def test_password_in_the_text_of_others(secret: str, before: str, after: str) -> None:
    """No form in which a library may quote the password or the URL gets through."""
    url = f"mysql+pymysql://user:{quote(secret, safe='')}@host/db"
    forms = [secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1], url]
    place = Place(url, "mysql", "host:3306", "user", "db")
    for form in forms:
        assert form not in scrubbed(f"{before} {form} {after}", url)
        if not form.isspace() and " " not in form:
            assert form not in place.explain(RuntimeError(f"bad: {form}"))


@given(texts, st.integers(10, 300))
def test_short(text: str, limit: int) -> None:
    """A line of at most so many bytes, whole characters, cut visibly."""
    line = short(text, limit)
    assert len(line.encode()) <= limit
    assert "\n" not in line
    assert line.endswith("...") or len(line) == len(" ".join(text.split()))


@given(texts, st.sampled_from(["mysql", "sqlite"]))
def test_every_explanation_is_a_short_line(text: str, backend: str) -> None:
    """Any exception gives one line that leaves room for when it is tried again."""
    place = Place("x://", backend, server="h:1", database="/very/long" * 50)
    for error in (OSError(2, text), RuntimeError(text), RuntimeError(1045, text), KeyError()):
        line = place.explain(error)
        assert line
        assert len(line.encode()) <= 220
