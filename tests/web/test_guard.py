"""The guard of the web page: who may see the page, and who may command."""

from __future__ import annotations

import pytest

from bgrscrpt_ioc.web.guard import COOKIE, CSRF, TRIES, Guard

HERE = {"host": "beamline.example.org", "origin": "https://beamline.example.org"}


def guard(token: str | None = "open sesame") -> Guard:  # noqa: S107
    """Make the guard of a page that a proxy serves as beamline.example.org."""
    return Guard(token, {"beamline.example.org"})


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost:8089", True),
        ("127.0.0.1:8089", True),
        ("[::1]:8089", True),
        ("192.0.2.7", True),
        ("Beamline.Example.Org", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("beamline.example.org@evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_host_names(host: str, known: bool) -> None:
    """A request for the host name of another site is refused (DNS rebinding)."""
    assert guard().knows_host(host) is known


def test_a_session() -> None:
    """A browser with the token may command from our own page until its session ends."""
    made = guard()
    found = made.log_in("open sesame")
    assert found is not None
    name, session = found
    headers = {**HERE, "cookie": f"other=1; {COOKIE}={name}", CSRF: session.csrf}
    assert made.may_command(headers) == ""
    assert made.may_command({**headers, CSRF: "guessed"}) != ""
    assert made.may_command({**headers, "cookie": f"{COOKIE}=guessed"}) == "log in first"
    assert made.may_command({**headers, "cookie": '"; ='}) == "log in first"
    for foreign in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert made.may_command({**headers, **foreign}) == "the request comes from another site"
    made.log_out(headers)
    assert made.may_command(headers) == "log in first"


def test_programs() -> None:
    """A program gives the token with each request, without a session."""
    made = guard()
    assert made.may_command({"authorization": "Bearer open sesame"}) == ""
    assert made.may_command({"authorization": "Bearer close sesame"}) == "the token is wrong"
    assert made.may_command({"authorization": "Basic b3Blbg=="}) == "log in first"


def test_a_token_cannot_be_guessed() -> None:
    """After some wrong tokens, every token is refused for a minute."""
    made = guard()
    for at in range(TRIES):
        assert made.log_in(f"guess {at}") is None
    assert made.log_in("open sesame") is None
    assert made.may_command({"authorization": "Bearer open sesame"}) == "the token is wrong"


def test_read_only() -> None:
    """Without a token, the page is read-only, whatever a client sends."""
    made = guard(None)
    assert made.log_in("") is None
    assert "--allow-control" in made.may_command({"authorization": "Bearer "})
