"""Makes the Containerfile of an image that runs an IOC, and the health checks. Pure."""

from __future__ import annotations

import json
from shlex import join

from bgrscrpt_ioc.deploy.site import Site
from bgrscrpt_ioc.deploy.systemd import one_line, stop_timeout

CONTAINERFILE = "Containerfile"
PROGRAM = "bgrscrpt-ioc"  # in the PATH of the image
SETTINGS = "/etc/bgrscrpt"
STATE = "/var/lib/bgrscrpt"
USER = 1000  # user and group of the processes, as a number: Kubernetes must see that it is not root
NO_ANSWER = 4  # exit code of `status` if the IOC does not answer
PATIENCE = 15  # s that `status` may take: it waits some seconds for the IOC

TEXT = """\
# Made by `bgrscrpt-ioc deploy container` from {config}.
# Build the image in a clone of bgrscrpt_ioc. Only the format docker has a HEALTHCHECK:
#     pip wheel --no-deps --wheel-dir . .
#     podman build --format docker --tag {image} .
# Run the image. Scripts have the same paths inside as outside:
#     podman run --detach --name bgrscrpt --network host --stop-timeout {stop} \\
#         {volumes} \\
#         --volume bgrscrpt:{state} {image}
FROM docker.io/library/python:3.13-slim

COPY bgrscrpt_ioc-*.whl constraints.txt /tmp/
RUN python -m venv /opt/bgrscrpt \\
 && /opt/bgrscrpt/bin/pip install --no-cache-dir --constraint /tmp/constraints.txt \\
        /tmp/bgrscrpt_ioc-*.whl \\
 && groupadd --gid {user} bgrscrpt \\
 && useradd --uid {user} --gid {user} --no-log-init --home-dir {state} bgrscrpt \\
 && install --directory --owner bgrscrpt --group bgrscrpt {state}
# Install here the packages that the scripts import, or set `python` to another interpreter.

ENV PATH=/opt/bgrscrpt/bin:$PATH
USER {user}:{user}
VOLUME {state}

# The IOC may be process 1: it ends on SIGTERM, and reaps orphans of other processes.
ENTRYPOINT {entry}
CMD {command}

# The container is healthy while the IOC answers. The IOC itself restarts scripts that fail.
HEALTHCHECK --interval=30s --timeout={patience}s --start-period=60s --retries=3 \\
    CMD {health}
"""


def files(site: Site, image: str) -> dict[str, str]:
    """Return the text of the Containerfile, by the name of the file."""
    return {CONTAINERFILE: containerfile(site, image)}


def containerfile(site: Site, image: str) -> str:
    """Return the text of the Containerfile."""
    settings = f"{SETTINGS}/{site.config.name}"
    places = {str(site.config.parent): SETTINGS} | {each: each for each in site.script_directories}
    return TEXT.format(
        config=one_line(str(site.config)),
        image=one_line(image),
        stop=stop_timeout(site),
        volumes=" ".join(
            one_line(join(["--volume", f"{here}:{there}:ro"])) for here, there in places.items()
        ),
        state=STATE,
        user=USER,
        entry=json.dumps([PROGRAM]),
        command=json.dumps(serve(settings, STATE)),
        patience=PATIENCE,
        health=json.dumps(alive(settings)),
    )


def serve(settings: str, state: str, *more: str) -> list[str]:
    """Return the arguments that run the IOC, with its state in a directory of the container."""
    return ["run", "--config", settings, "--state-dir", state, *more]


def well(settings: str) -> list[str]:
    """Return the command line that fails if the IOC does not answer or a script has failed."""
    return [PROGRAM, "status", "--config", settings]


def alive(settings: str) -> list[str]:
    """Return the command line that fails only if the IOC does not answer.

    Neither a script that has failed nor a file of settings that is being edited ends a good IOC.
    """
    return ["/bin/sh", "-c", f"{join(well(settings))} >/dev/null; [ $? -ne {NO_ANSWER} ]"]
