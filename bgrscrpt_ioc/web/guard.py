"""Decides who may see the page and who may command: host names, origins, sessions, the token.

By default this host may look, and nobody may do more.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

COOKIE = "bgrscrpt_session"
CSRF = "x-csrf-token"
LIFE = 12 * 3600.0  # s that a session lasts
SESSIONS = 1000
TRIES = 10  # wrong tokens a minute; further ones are not compared


@dataclass(frozen=True, slots=True)
class Login:
    """The session of somebody who has given the token."""

    csrf: str
    until: float


@dataclass(slots=True)
class Guard:
    """Decides about requests. `token` is None if nobody may command."""

    token: str | None
    hosts: Collection[str]  # names of the page, in lower case
    _sessions: OrderedDict[str, Login] = field(default_factory=OrderedDict)
    _wrong: list[float] = field(default_factory=list)

    def knows_host(self, host: str) -> bool:
        """Return whether a Host header names this page. If not, another site's name leads here."""
        name = _hostname(host)
        # A name can be made to lead to any address; an address leads only to itself.
        return name == "localhost" or name in self.hosts or _is_address(name)

    def is_own_origin(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request comes from one of our pages, as browsers tell it."""
        site = headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            return False
        origin = headers.get("origin")
        if origin is None:
            return True
        return _hostname(origin.partition("//")[2]) == _hostname(headers.get("host", ""))

    def log_in(self, token: str) -> tuple[str, Login] | None:
        """Return a new session for somebody with the token.

        None for others, and after too many tries.
        """
        if not self._is_token(token):
            return None
        while len(self._sessions) >= SESSIONS:
            self._sessions.popitem(last=False)
        name, session = (
            secrets.token_urlsafe(32),
            Login(secrets.token_urlsafe(32), time.monotonic() + LIFE),
        )
        self._sessions[name] = session
        return name, session

    def log_out(self, headers: Mapping[str, str]) -> None:
        """End the session of a request."""
        self._sessions.pop(_cookie(headers), None)

    def session(self, headers: Mapping[str, str]) -> Login | None:
        """Return the session of a request, or None."""
        session = self._sessions.get(_cookie(headers))
        return session if session is not None and session.until > time.monotonic() else None

    def may_command(self, headers: Mapping[str, str]) -> str:
        """Return why a request may not command; empty if it may.

        A program sends the token itself. A page sends the cookie of its session and a word that
        only our own pages know.
        """
        if self.token is None:
            return "this page is read-only: start `bgrscrpt-ioc web` with --allow-control"
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return "" if self._is_token(given.strip()) else "the token is wrong"
        session = self.session(headers)
        if session is None:
            return "log in first"
        if not self.is_own_origin(headers):
            return "the request comes from another site"
        if not hmac.compare_digest(headers.get(CSRF, "").encode(), session.csrf.encode()):
            return "the page is too old: load it again"
        return ""

    def _is_token(self, given: str) -> bool:
        now = time.monotonic()
        self._wrong = [at for at in self._wrong if now - at < 60]
        if self.token is None or len(self._wrong) >= TRIES:
            return False
        if hmac.compare_digest(given.encode(), self.token.encode()):
            return True
        self._wrong.append(now)
        return False


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
