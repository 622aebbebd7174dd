"""Scripts that do what a supervisor fears; each is complete, and harmless once it is killed."""

from __future__ import annotations

import textwrap

REGISTER = (
    "import os, signal, subprocess, sys, time\n"
    "from server_common.helpers import register_ioc_start\n"
    "register_ioc_start(os.environ['BGRSCRPT_NAME'])\n"
)
FOREVER = "\nprint('up', flush=True)\nwhile True:\n    time.sleep(1000)\n"
# argv[0] of the hidden one is all by which an observer can tell it: see observer.py.
BODIES = {
    "polite": "",
    "deaf": """
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    """,
    "forks": """
        for _ in range(3):
            if os.fork() == 0:
                os.fork()
                time.sleep(1000)
    """,
    "daemon": """
        if os.fork() == 0:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                time.sleep(1000)
            os._exit(0)
        os.wait()
    """,
    "hidden": """
        tag = "chaos/%s/%s%s" % (
            os.environ["BGRSCRPT_RUN"].split("/")[1],
            os.environ["MYPVPREFIX"],
            os.environ["BGRSCRPT_NAME"],
        )
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execve("/bin/sleep", [tag, "1000"], {})
            os._exit(0)
        os.wait()
    """,
    "holds the GIL": """
        import ctypes
        print("up", flush=True)
        ctypes.PyDLL(None).sleep(1000)
    """,
    "crowd": """
        for _ in range(CROWD):
            subprocess.Popen(["sleep", "1000"])
    """,
    "fails": """
        time.sleep(0.2)
        sys.exit(3)
    """,
    "ends": """
        time.sleep(0.2)
        sys.exit(0)
    """,
    "broken": """
        def (
    """,
}


def text_of(kind: str, crowd: int = 20) -> str:
    """Return the whole script of a kind."""
    body = textwrap.dedent(BODIES[kind]).replace("CROWD", str(crowd))
    return REGISTER + body + FOREVER
