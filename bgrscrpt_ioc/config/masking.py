"""Hides the password in a database URL, and in what others say of the URL. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus, unquote_plus, urlsplit

HIDDEN = "***"

_SECRET_ARGUMENT = re.compile(r"([?&](?:password|passwd|ssl_key_password)=)([^&]*)")
_SCHEME = re.compile(r"[\w+.-]+://")
_PORT = re.compile(r"\d*(?:[/?]|$)")


def masked(url: str) -> str:
    """Return the URL with `***` for its password, for logs, PVs and `--help`.

    It takes any text. If the end of the password is unclear, more is hidden.
    """
    url = _SECRET_ARGUMENT.sub(rf"\1{HIDDEN}", url)
    start, end = _password(url)
    return url if start == end else url[:start] + HIDDEN + url[end:]


def scrubbed(text: str, url: str) -> str:
    """Return the text without the URL's password, in any form in which a library may quote it."""
    text = text.replace(url, masked(url))
    start, end = _password(_SECRET_ARGUMENT.sub(lambda found: "x" * len(found[0]), url))
    secrets = [url[start:end]]
    secrets += [argument for _, argument in _SECRET_ARGUMENT.findall(_query(url))]
    forms = {
        form
        for secret in secrets
        for plain in (secret, unquote_plus(secret))
        for form in (plain, *_quoted(plain), repr(plain)[1:-1])
    }
    for form in sorted(forms, key=len, reverse=True):
        if form:
            text = text.replace(form, HIDDEN)
    return text


def _password(url: str) -> tuple[int, int]:
    """Return where the password of `scheme://user:password@host` begins and ends."""
    if url.startswith("sqlite:"):
        return 0, 0  # a path may have any characters
    start = found.end() if (found := _SCHEME.match(url)) else 0
    end = url.rfind("@")
    colon = url.find(":", start, end) if end >= 0 else url.find(":", start)
    if colon < 0 or "[" in url[start:colon]:  # the colon is part of an IPv6 address
        return 0, 0
    if end >= 0:
        return colon + 1, end
    # Without @ this is a port, or somebody has forgotten the @.
    return (0, 0) if _PORT.match(url, colon + 1) else (colon + 1, len(url))


def _query(url: str) -> str:
    try:
        return "?" + urlsplit(url).query
    except ValueError:  # brackets without an IPv6 address
        return url


def _quoted(text: str) -> tuple[str, str]:
    return quote(text, safe="", errors="replace"), quote_plus(text, errors="replace")
