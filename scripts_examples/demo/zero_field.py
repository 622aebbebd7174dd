"""ZFMAGFLD_01 under the real procServ, and the PVs that restart it: what a watchdog is for.

A script of the demonstration's IOC, so that nothing of it is left when that ends.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys

from procserv_control import Console, serve

IOC = "ZFMAGFLD_01"
HERE = os.path.dirname(os.path.abspath(__file__))


def port(name: str) -> int:
    """One of those that demo.toml names."""
    return int(os.environ[name])


def main() -> None:
    if shutil.which("procServ") is None:
        sys.exit("procServ is not installed: sudo apt-get install procserv")
    prefix, console = os.environ["MYPVPREFIX"], port("CONSOLE_PORT")
    served = ["--prefix", prefix, "--port", str(port("ZFMAGFLD_PORT"))]
    ioc = [sys.executable, os.path.join(HERE, "zfmagfld.py"), *served, *sys.argv[1:]]
    command = ["procServ", "--foreground", "--quiet", "--holdoff", "1", str(console), *ioc]
    procserv = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - our own

    async def control() -> None:
        serving = asyncio.create_task(serve([Console(prefix, IOC, console)], port("CONTROL_PORT")))
        ended = asyncio.create_task(asyncio.to_thread(procserv.wait))
        try:
            await asyncio.wait((serving, ended), return_when=asyncio.FIRST_COMPLETED)
            if not serving.done():  # nothing is left to command: do not look alive
                sys.exit(f"procServ ended with exit code {procserv.returncode}")
            await serving
        finally:
            procserv.terminate()  # it ends the IOC, too; and `ended` with it

    asyncio.run(control())


if __name__ == "__main__":
    main()
