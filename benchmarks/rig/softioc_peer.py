"""EPICS base's own record engine with our database: what our server is compared with."""

from __future__ import annotations

import json
import os
import sys

from epicscorelibs import ioc


def main() -> None:
    database, macros = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # base says "Starting iocInit" there
    ioc.start_ioc(database=database, macros=macros)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
