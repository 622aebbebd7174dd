"""Runs pytest under Wine, with the Python that `assemble` made: run.py DIRECTORY ARGUMENTS.

Wine 8 passes only pipes to a program, and Wine's server keeps a pipe open after the program has
ended. So run.py copies the output until the program has ended, not until the end of the pipe.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

LATE = 0.2  # s for what is still in the pipe


def main(directory: Path, *arguments: str) -> int:
    """Run pytest with these arguments; return its exit code."""
    command = [
        directory.absolute() / "python",
        "-u",
        "-P",
        "-X",
        "utf8",
        "-m",
        "pytest",
        *arguments,
    ]
    with subprocess.Popen(
        [*command, "-p", "no:cacheprovider"],
        env={**os.environ, "PYTHONUTF8": "1"},  # tests write files without naming an encoding
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as program:
        assert program.stdout is not None
        output = program.stdout.fileno()
        ended = False
        while True:
            if select.select([output], [], [], LATE)[0]:
                if not (data := os.read(output, 1 << 16)):
                    break
                os.write(1, data)
            elif ended:
                break
            ended = program.poll() is not None
        return program.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
