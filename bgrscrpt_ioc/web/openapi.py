"""The description of the JSON interface in OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from bgrscrpt_ioc.web.puts import COMMANDS

_NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Prefix and name of the instance; the name alone where it is unique.",
    "schema": {"type": "string"},
}


def _answer(text: str, kind: str = "object") -> dict[str, Any]:
    return {
        "200": {
            "description": text,
            "content": {"application/json": {"schema": {"type": kind}}},
        }
    }


def _get(summary: str, text: str, kind: str = "object", *more: dict[str, Any]) -> dict[str, Any]:
    parameters = [_NAME, *more] if summary != "List the instances." else []
    answers = _answer(text, kind)
    if parameters:
        answers["404"] = {"description": "There is no such instance."}
    return {"get": {"summary": summary, "parameters": parameters, "responses": answers}}


def _query(name: str, text: str, kind: str = "integer") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": {"type": kind}}


def _post(command: str) -> dict[str, Any]:
    return {
        "post": {
            "summary": f"Put 1 to {COMMANDS[command]} and wait until it is done.",
            "parameters": [_NAME],
            "security": [{"token": []}],
            "responses": {
                **_answer("The commanded state is reached."),
                "403": {"description": "The token is missing or wrong, or the page is read-only."},
                "404": {"description": "There is no such instance."},
                "409": {"description": "The command failed or was refused; `error` says why."},
            },
        }
    }


def _set_own() -> dict[str, Any]:
    found = _post("start")
    found["post"] |= {
        "summary": "Set a PV that the script has made, and wait until the script has taken it.",
        "parameters": [
            _NAME,
            {
                "name": "pv",
                "in": "path",
                "required": True,
                "description": "Name of the PV, without the name of the instance.",
                "schema": {"type": "string"},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "object", "required": ["value"]}}},
        },
    }
    found["post"]["responses"] |= {
        **_answer("The script has taken the value."),
        "400": {"description": "The body has no value that the PV can have."},
    }
    return found


def description(version: str) -> dict[str, Any]:
    """Return the description, for this version of the program."""
    one = "/api/instances/{name}"
    return {
        "openapi": "3.1.0",
        "info": {"title": "bgrscrpt-ioc web", "version": version},
        "paths": {
            "/api/instances": _get(
                "List the instances.", "One object for each instance, failed ones first.", "array"
            ),
            one: _get("Show an instance.", "Its state, and the readings of all its PVs."),
            f"{one}/log": _get(
                "Show what the script has printed.",
                "`lines`, the number of the first of them, and the line that is `open`.",
                "object",
                _query("after", "Number of the last line that is known."),
                _query("lines", "Lines to return, at most (default: 1000)."),
            ),
            f"{one}/history": _get("List the newest runs.", "One object for each run.", "array"),
            f"{one}/trend": _get(
                "Show the last hour of numbers.",
                "For each PV a list of pairs: time, s since the epoch, and value.",
                "object",
                _query("pv", "Name of a PV, such as CPU (default: all).", "string"),
            ),
            **{f"{one}/{command}": _post(command) for command in COMMANDS},
            f"{one}/pvs/{{pv}}": _set_own(),
        },
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }
