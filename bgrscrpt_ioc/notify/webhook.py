"""Sends a notice to a webhook: of Slack, Teams or Mattermost, or of a program of the site."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from bgrscrpt_ioc.lifecycle.events import CommandFailed

TIMEOUT = 20.0  # s


def _slack(notice: Mapping[str, Any]) -> dict[str, Any]:
    """Return a text for Slack, where `&`, `<` and `>` are special.

    See docs.slack.dev, "Formatting message text".
    """
    text = str(notice["text"])
    for plain, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(plain, written)
    return {"text": text}


def _teams(notice: Mapping[str, Any]) -> dict[str, Any]:
    """Return an adaptive card for the workflow "when a Teams webhook request is received"."""
    block = {"type": "TextBlock", "text": str(notice["text"]), "wrap": True}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [block],
    }
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _mattermost(notice: Mapping[str, Any]) -> dict[str, Any]:
    return {"text": str(notice["text"]), "username": "bgrscrpt-ioc"}


FORMATS: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
    "json": lambda notice: notice,
    "slack": _slack,
    "teams": _teams,
    "mattermost": _mattermost,
}


def post(notice: Mapping[str, Any], url: str, kind: str) -> None:
    """Send a notice in the form of this kind of webhook.

    Raises:
        CommandFailed: it was not taken. The text does not have the URL, which is a secret.
    """
    if not url.startswith(("https://", "http://")):
        raise CommandFailed("webhook: the URL should begin with https:// or http://")
    data = json.dumps(FORMATS[kind](notice)).encode()
    try:
        request = Request(url, data, {"Content-Type": "application/json"})  # noqa: S310 - checked above
        with urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            answer.read(1000)
    except HTTPError as error:
        answer = error.read(200).decode("utf-8", "replace")
        raise CommandFailed(f"webhook: {error.code} {error.reason} {answer}".strip()) from None
    except URLError as error:
        raise CommandFailed(f"webhook: no answer: {error.reason}") from None
    except (http.client.HTTPException, ValueError, OSError) as error:
        raise CommandFailed(f"webhook: no answer: {type(error).__name__}") from None
