"""`bgrscrpt-ioc` and `python -m bgrscrpt_ioc`: prepares the process, then runs the command line.

PYTHONPATH is for scripts. So nothing is imported here that one of its directories could replace.
"""

import os
import sys

from bgrscrpt_ioc.host import streams


def main() -> int:
    """Run the command of the process's command line; return its exit code."""
    streams.complete()
    shut_out_foreign_modules()
    from bgrscrpt_ioc.host.lean import few_collections

    with few_collections():
        from bgrscrpt_ioc.cli.main import main as run
    return run()


def shut_out_foreign_modules() -> None:
    """Import nothing from PYTHONPATH or the working directory: these belong to the scripts.

    If PYTHONPATH is set, this program starts again and ignores it. The variable stays in the
    environment, from where scripts get it. A package that was itself found by PYTHONPATH runs as it
    is.
    """
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    entries = [os.path.abspath(each) for each in paths if each]  # noqa: PTH100 - as above
    if entries and not sys.flags.ignore_environment and home not in entries:
        streams.only_ours(entries)
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()] != [home]:  # noqa: PTH109
        del sys.path[0]  # `python -m` puts it there


if __name__ == "__main__":
    sys.exit(main())
