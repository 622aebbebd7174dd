"""Passwords stay hidden and lines stay short, whatever their content."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrscrpt_ioc.config.masking import masked, scrubbed
from bgrscrpt_ioc.registry.dbtrouble import Place, short

texts = st.text(st.characters(exclude_categories=()))  # lone surrogates too
secrets = st.text("abcXYZ019$+ %@:/?#&ŽЖ'\"\\", min_size=5).map(lambda text: f"Q{text}Q")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mysql+pymysql://iocdb:$iocdb@127.0.0.1/iocdb", "mysql+pymysql://iocdb:***@127.0.0.1/iocdb"),
        ("mysql+pymysql://u:p@w:x/y@h:3306/db", "mysql+pymysql://u:***@h:3306/db"),
        ("mysql://h/db?user=u&password=secret", "mysql://h/db?user=u&password=***"),
        ("mysql://u@h/db", "mysql://u@h/db"),
        ("mysql://us@er:p@h/db", "mysql://us@er:***@h/db"),
        ("mysql://h:3306/db?user=u&password=p@x:y/", "mysql://h:3306/db?user=u&password=***"),
        ("mysql://[::1]:3306/db", "mysql://[::1]:3306/db"),
        ("mysql://u:p@[::1]:3306/db", "mysql://u:***@[::1]:3306/db"),
        ("iocdb:$iocdb@127.0.0.1/iocdb", "iocdb:***@127.0.0.1/iocdb"),
        ("mysql://iocdb:$iocdb127.0.0.1/iocdb", "mysql://iocdb:***"),
        ("mysql://h:3306/db", "mysql://h:3306/db"),
        ("sqlite:////var/lib/a:b@c.sqlite", "sqlite:////var/lib/a:b@c.sqlite"),
        ("no url", "no url"),
    ],
)  # fmt: skip
def test_masked(url: str, shown: str) -> None:
    """Only the password of a URL is replaced."""
    assert masked(url) == shown


@given(
    st.text("uv+%@.", min_size=1).filter(lambda text: ":" not in text),
    secrets | st.text("@/:?#&=[]%40").map(lambda text: f"Q{text}Q"),
    st.sampled_from(["mysql+pymysql://", "mariadb+pymysql://", "postgresql://", ""]),
)
def test_masked_whatever_it_has(user: str, secret: str, scheme: str) -> None:
    """No part of a password is shown, whatever characters it has and however it is written."""
    for written in (secret, quote(secret, safe="")):
        for query in ("", "?charset=utf8mb4"):
            shown = masked(f"{scheme}{user}:{written}@127.0.0.1:3306/iocdb{query}")
            assert shown == f"{scheme}{user}:***@127.0.0.1:3306/iocdb{query}"
        shown = masked(f"mysql://h/db?user=u&password={written.replace('&', '%26')}")
        assert shown == "mysql://h/db?user=u&password=***"


@given(secret=secrets, before=st.text(), after=st.text())
def test_password_in_the_text_of_others(secret: str, before: str, after: str) -> None:
    """No form in which a library may quote the password or the URL is shown."""
    url = f"mysql+pymysql://user:{quote(secret, safe='')}@host/db"
    forms = [secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1], url]
    place = Place(url, "mysql", "host:3306", "user", "db")
    for form in forms:
        assert form not in scrubbed(f"{before} {form} {after}", url)
        if not form.isspace() and " " not in form:
            assert form not in place.explain(RuntimeError(f"bad: {form}"))


@given(texts, st.integers(10, 300))
def test_short(text: str, limit: int) -> None:
    """A text becomes a line of whole characters, at most so long; a cut is visible."""
    line = short(text, limit)
    assert len(line.encode()) <= limit
    assert "\n" not in line
    assert line.endswith("...") or len(line) == len(" ".join(text.split()))


@given(texts, st.sampled_from(["mysql", "sqlite"]))
def test_every_explanation_is_a_short_line(text: str, backend: str) -> None:
    """Any exception becomes one line that leaves room for the time of the next try."""
    place = Place("x://", backend, server="h:1", database="/very/long" * 50)
    for error in (OSError(2, text), RuntimeError(text), RuntimeError(1045, text), KeyError()):
        line = place.explain(error)
        assert line
        assert len(line.encode()) <= 220
