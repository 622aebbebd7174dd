"""Answers that several addresses of the web page give, and the body of a request."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

LARGEST = 4096  # bytes of a request's body


def error(code: int, text: str) -> Response:
    """Return an error for a program, with this HTTP status."""
    return JSONResponse({"error": text}, code)


def unknown(request: Request) -> Response:
    """Return the answer to a request for an instance that is not shown here."""
    return error(404, f"{request.path_params['name']}: no such instance is shown here")


async def body_of(request: Request, most: int = LARGEST) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    The object is empty if the body holds no JSON object, or more than `most` bytes.
    """
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
