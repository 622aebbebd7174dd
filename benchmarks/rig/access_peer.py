"""EPICS base's own access rules and calc, from libCom: asked and answering by JSON lines."""

from __future__ import annotations

import ctypes as c
import json
import os
import sys
import tempfile
from typing import Any

from epicscorelibs import path

COM = c.CDLL(path.get_lib("Com"))
NODE = [("next", c.c_void_p), ("previous", c.c_void_p)]
LIST = [*NODE, ("count", c.c_int)]


class List(c.Structure):
    """ELLLIST of ellLib.h."""

    _fields_ = LIST


class Asg(c.Structure):
    """ASG of asLib.h."""

    _fields_ = [
        *NODE,
        ("name", c.c_char_p),
        ("inputs", List),
        ("rules", List),
        ("members", List),
        ("values", c.POINTER(c.c_double)),
        ("bad", c.c_ulong),
        ("changed", c.c_ulong),
    ]


class Member(c.Structure):
    """ASGMEMBER of asLib.h."""

    _fields_ = [*NODE, ("asg", c.POINTER(Asg))]


class Client(c.Structure):
    """ASGCLIENT of asLib.h."""

    _fields_ = [
        *NODE,
        ("member", c.c_void_p),
        ("user", c.c_char_p),
        ("host", c.c_char_p),
        ("private", c.c_void_p),
        ("callback", c.c_void_p),
        ("level", c.c_int),
        ("access", c.c_int),
        ("trap", c.c_int),
    ]


def rights(acf: str, asg: str, level: int, user: str, host: str, inputs: dict[str, float]) -> Any:
    """[access, trap] as EPICS decides; None if it does not take the file."""
    with tempfile.NamedTemporaryFile("w", suffix=".acf") as file:
        file.write(acf)
        file.flush()
        if COM.asInitFile(file.name.encode(), b""):
            return None
    member, client = c.POINTER(Member)(), c.POINTER(Client)()
    if COM.asAddMember(c.byref(member), asg.encode()):
        raise RuntimeError("asAddMember")
    group = member.contents.asg.contents
    for letter, value in inputs.items():
        number = ord(letter) - ord("A")
        group.values[number] = value
        group.bad &= ~(1 << number)
        group.changed |= 1 << number
    COM.asComputeAsg(c.byref(group))
    kept = c.create_string_buffer(user.encode()), c.create_string_buffer(host.encode())
    if COM.asAddClient(c.byref(client), member, level, *kept):
        raise RuntimeError("asAddClient")
    found = client.contents.access, bool(client.contents.trap)
    COM.asRemoveClient(c.byref(client))
    COM.asRemoveMember(c.byref(member))
    return found


def calc(text: str, inputs: list[float]) -> float | None:
    """What an expression gives; None if it is none."""
    postfix, error = c.create_string_buffer(4096), c.c_short()
    if len(text) > 200 or COM.postfix(text.encode(), postfix, c.byref(error)):
        return None
    values = (c.c_double * 21)(*inputs)
    result = c.c_double()
    return None if COM.calcPerform(values, c.byref(result), postfix) else result.value


def main() -> None:
    """Answer."""
    c.c_int.in_dll(COM, "asCheckClientIP").value = 1
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # base writes there what it thinks of a file
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        number, do = request.pop("id"), request.pop("do")
        result = {"rights": rights, "calc": calc}[do](**request)
        print(json.dumps({"id": number, "result": result}), file=answers, flush=True)


if __name__ == "__main__":
    main()
