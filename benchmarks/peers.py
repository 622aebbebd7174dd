"""Who else keeps a script running: each starts it, and starts it again on demand."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Protocol, Self
from xmlrpc.client import ServerProxy

from benchmarks.kit import until
from benchmarks.rig.ca import Client, free_port
from benchmarks.rig.iocs import Ioc

PREFIX = "TE:"
PV = f"{PREFIX}BGRSCRPT_01:"


class Peer(Protocol):
    """One that runs a script; started with it."""

    name: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def restart(self) -> None:
        """Have it started again; returns at once, or when it is done."""


class Program:
    """A peer that is a process of its own."""

    def __init__(self, command: list[str], directory: Path) -> None:
        self._command, self._directory = command, directory

    def __enter__(self) -> Self:
        with (self._directory / "peer.out").open("wb") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                self._command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Plain(Program):
    """`python -u script.py`, killed and run again: what nobody can be quicker than."""

    name = "plain Python"

    def __init__(self, python: str, script: Path, directory: Path) -> None:
        super().__init__([python, "-u", str(script)], directory)

    def restart(self) -> None:
        """Run it again."""
        self.process.kill()
        self.process.wait()
        self.__enter__()


class ProcServ(Program):
    """procServ, as ISIS runs BGRSCRPT today, but without its hold-off of 15 s."""

    name = "procServ"

    def __init__(self, python: str, script: Path, directory: Path) -> None:
        self.socket = directory / "procserv"
        self.console: socket.socket | None = None
        command = [
            "procServ",
            "--foreground",
            "--holdoff",
            "0",
            "--logfile",
            str(directory / "log"),
        ]
        command += ["--logstamp", f"unix:{self.socket}", python, "-u", str(script)]
        super().__init__(command, directory)

    def __exit__(self, *_: object) -> None:
        if self.console is not None:
            self.console.close()
        super().__exit__()

    def restart(self) -> None:
        """Send the key that kills the child."""
        if self.console is None:  # not before: a console that nobody reads holds the child up
            console = self.console = socket.socket(socket.AF_UNIX)
            until(lambda: console.connect_ex(str(self.socket)) == 0, "procServ's console")
        self.console.sendall(b"\x18")


class Supervisor(Program):
    """Supervisor, of PyPI."""

    name = "Supervisor"

    def __init__(self, python: str, script: Path, directory: Path) -> None:
        self.port = free_port()
        configuration = directory / "supervisord.conf"
        configuration.write_text(f"""
[supervisord]
nodaemon=true
logfile={directory}/supervisord.log
pidfile={directory}/supervisord.pid
[inet_http_server]
port=127.0.0.1:{self.port}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:script]
command={python} -u {script}
startsecs=0
stopsignal=INT
stdout_logfile={directory}/script.log
redirect_stderr=true
""")
        super().__init__([bench("supervisord"), "-c", str(configuration)], directory)

    def restart(self) -> None:
        """Stop and start, as `supervisorctl restart`."""
        server = ServerProxy(f"http://127.0.0.1:{self.port}/RPC2").supervisor
        server.stopProcess("script")
        server.startProcess("script", False)


class Circus(Program):
    """circus, of PyPI."""

    name = "circus"
    CONTROL = """
import sys
from circus.client import CircusClient
client = CircusClient(endpoint=sys.argv[1])
for line in sys.stdin:
    client.call({"command": "restart", "properties": {"name": "script", "waiting": True}})
    print("done", flush=True)
"""

    def __init__(self, python: str, script: Path, directory: Path) -> None:
        self.endpoint = f"ipc://{directory}/control"
        configuration = directory / "circus.ini"
        configuration.write_text(f"""
[circus]
endpoint = {self.endpoint}
pubsub_endpoint = ipc://{directory}/events
check_delay = 5
[watcher:script]
cmd = {python}
args = -u {script}
stop_signal = INT
copy_env = True
stdout_stream.class = FileStream
stdout_stream.filename = {directory}/script.log
stdout_stream.time_format = %Y-%m-%d %H:%M:%S
""")
        super().__init__([bench("circusd"), str(configuration)], directory)

    def __enter__(self) -> Self:
        self.control = subprocess.Popen(  # noqa: S603 - our own command
            [bench("python"), "-c", self.CONTROL, self.endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if self.control.stdin is None or self.control.stdout is None:
            raise RuntimeError("Popen gave no pipes")
        self._told, self._answers = self.control.stdin.fileno(), self.control.stdout.fileno()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self.control.kill()
        self.control.communicate()
        super().__exit__()

    def restart(self) -> None:
        """As `circusctl restart`, without its start."""
        os.write(self._told, b"restart\n")
        os.read(self._answers, 100)


class Ours:
    """This IOC, commanded by a client over libca."""

    def __init__(self, python: str, script: Path, directory: Path, *options: str) -> None:
        self.name = "ours, preload" if "--preload" in options else "ours"
        self._ioc = Ioc(
            directory,
            *(script, "--prefix", PREFIX, "--python", python, "--no-echo"),
            *options,
        )

    def __enter__(self) -> Self:
        self._ioc.ready()
        self.client = Client(self._ioc.port)
        self.client.connect(f"{PV}RESTART")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.kill()
        self._ioc.__exit__()

    def restart(self) -> None:
        """Put to RESTART."""
        self.client.put(f"{PV}RESTART", 1)

    def stop(self) -> None:
        """Put to STOP, and wait."""
        self.client.put_callback(f"{PV}STOP")

    def start(self) -> None:
        """Put to START."""
        self.client.put(f"{PV}START", 1)


def bench(program: str) -> str:
    """A program of the peers' own environment, which `make bench` installs."""
    return str(Path(sys.executable).parents[1] / "bench" / "bin" / program)
