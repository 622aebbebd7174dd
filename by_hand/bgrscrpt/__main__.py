"""Runs a script by hand with what the IOC lets it import: `python -m bgrscrpt script.py [args]`.

`server_common.helpers` is there, with or without ISIS's; what the script registers goes nowhere.
"""

import os
import runpy
import sys

from bgrscrpt_ioc.child import bgrscrpt

if len(sys.argv) < 2:
    sys.exit("usage: python -m bgrscrpt script.py [argument ...]")
del sys.argv[0]
sys.modules["bgrscrpt"] = bgrscrpt
sys.path[0] = os.path.dirname(bgrscrpt.__file__)  # noqa: PTH120 - text is what sys.path has
import _bgrscrpt_hook  # noqa: E402 - found there

_bgrscrpt_hook.install()
sys.path[0] = os.path.dirname(os.path.realpath(sys.argv[0]))  # noqa: PTH120
runpy.run_path(sys.argv[0], run_name="__main__")
