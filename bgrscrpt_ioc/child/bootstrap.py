"""Becomes the script: prepares the process, then runs the script as `__main__`.

The IOC runs `python -I -u bootstrap.py`, with three pipes: stdin brings the order, stdout takes
messages and stderr takes output. Python compiles this file again at every start, so the rest of the
code is in `_bgrscrpt_start.py`, which stays compiled.
"""

import _signal  # pyright: ignore[reportMissingImports] - `signal` without its imports
import os
import sys

# A stop at this point must not print a traceback of ours.
_signal.signal(_signal.SIGINT, _signal.SIG_DFL)

if sys.version_info < (3, 8):
    told = "Python %d.%d is too old: a script needs 3.8 or newer" % sys.version_info[:2]
    os.write(
        1, ('\n%d={"kind":"failed","error":"%s","traceback":""}\n' % (os.getpid(), told)).encode()
    )
    os.write(2, (sys.executable + ": " + told + "\n").encode())
    sys.exit(2)

standard_path = sys.path[:]
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import _bgrscrpt_start  # noqa: E402

del sys.path[0]
start = _bgrscrpt_start.Start(standard_path)
try:
    code = start.begin()
    exec(code, sys.modules["__main__"].__dict__)  # noqa: S102 - what this file is for
except BaseException as error:
    start.report(error)
    raise
