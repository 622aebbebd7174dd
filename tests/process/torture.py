"""Small scripts of every kind, each of which must do here what it does by hand."""

from __future__ import annotations

import re
from pathlib import Path

MARKS = re.compile(rb"^ +[~^]+\n", re.MULTILINE)

SCRIPTS: dict[str, str] = {
    # --- ends ---
    "exit_code": "import sys\nprint('a')\nsys.exit(3)\n",
    "exit_text": "import sys\nprint('a')\nsys.exit('das Ende ß')\n",
    "exit_none": "raise SystemExit\n",
    "exit_big": "import sys\nsys.exit(300)\n",
    "os_exit": "import os\nprint('a', flush=True)\nos._exit(7)\n",
    "no_newline_at_the_end": "print('no newline', end='')\n",
    "exception": "def f(x):\n    return 1 / x\n\nprint('a')\nf(0)\n",
    "chained_exceptions": """
try:
    try:
        {}["key"]
    except KeyError as error:
        raise ValueError("second") from error
except ValueError:
    raise RuntimeError("third")
""",
    "syntax_error": "print('never')\nx = = 1\n",
    "indentation_error": "if True:\nprint('never')\n",
    "unterminated_text": "x = 'abc\n",
    "keyboard_interrupt": "raise KeyboardInterrupt\n",
    "excepthook": """
import sys
sys.excepthook = lambda kind, error, traceback: print("mine:", kind, error, traceback.tb_lineno)
raise ValueError("x")
""",
    "excepthook_that_raises": """
import sys
def hook(*args): raise RuntimeError("in the hook")
sys.excepthook = hook
def f(): 1 / 0
f()
""",
    "excepthook_that_exits": """
import sys
sys.excepthook = lambda *args: sys.exit(9)
1 / 0
""",
    "no_excepthook": "import sys\nsys.excepthook = None\n1 / 0\n",
    "search_path_lost": "import sys\nsys.path.clear()\n1 / 0\n",
    "asyncio_exception": """
import asyncio
async def main(): raise ValueError("in a task")
asyncio.run(main())
""",
    "exit_tuple": "raise SystemExit(('a', 1))\n",
    "exit_builtin": "exit('bye')\n",
    "exception_group": "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])\n",
    "base_exception": "raise BaseException('b')\n",
    "exception_of_many_lines": "raise ValueError('a\\nb\\n')\n",
    "memory_error": "bytearray(1 << 62)\n",
    "import_of_nothing": "from . import nothing\n",
    "fork_falls_through": """
import os
if os.fork():
    os.wait()
1 / 0
""",
    "kill_itself": "import os\nprint('a', flush=True)\nos.kill(os.getpid(), 9)\n",
    "terminate_itself": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n",
    "interrupt_itself": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n",
    "exit_in_thread": """
import sys, threading
threading.Thread(target=sys.exit, args=(5,)).start()
""",
    "exception_in_thread": """
import threading
def broken(): raise ValueError("in a thread")
thread = threading.Thread(target=broken, name="T")
thread.start(); thread.join()
""",
    "recursion": """
import sys
def f(): f()
try:
    f()
except RecursionError as error:
    print(error)
""",
    "exception_with_a_bad_text": """
class Bad(Exception):
    def __str__(self): raise ValueError
raise Bad
""",
    # --- ends of the interpreter ---
    "atexit_order": """
import atexit
for number in range(3):
    atexit.register(print, "atexit", number)
print("end")
""",
    "atexit_after_exception": "import atexit\natexit.register(print, 'bye')\n1 / 0\n",
    "del_at_the_end": """
class Noisy:
    def __init__(self, name): self.name = name
    def __del__(self): print("gone:", self.name)
a = Noisy("a")
print("end")
""",
    "thread_outlives_main": """
import threading, time
def late():
    time.sleep(0.2)
    print("late")
threading.Thread(target=late).start()
print("end of main")
""",
    "daemon_thread": """
import threading, time
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
print("end of main")
""",
    # --- processes ---
    "multiprocessing_fork": """
import multiprocessing as mp
class Point:
    def __init__(self, x): self.x = x
def double(point): return Point(2 * point.x)
if __name__ == "__main__":
    with mp.get_context("fork").Pool(2) as pool:
        print([point.x for point in pool.map(double, [Point(1), Point(2)])])
""",
    "multiprocessing_spawn": """
import multiprocessing as mp
class Point:
    def __init__(self, x): self.x = x
def double(point, queue): queue.put(Point(2 * point.x))
print("imported as", __name__, flush=True)
if __name__ == "__main__":
    context = mp.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=double, args=(Point(1), queue))
    process.start()
    print(queue.get().x)
    process.join()
""",
    "multiprocessing_forkserver": """
import multiprocessing as mp
def work(queue): queue.put(__name__)
if __name__ == "__main__":
    context = mp.get_context("forkserver")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    print(queue.get())
    process.join()
    print(process.exitcode)
""",
    "process_pool_executor": """
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    with ProcessPoolExecutor(1) as pool:
        print(list(pool.map(abs, [-1, -2])))
""",
    "multiprocessing_in_depth": """
import multiprocessing as mp
def deep(queue): queue.put("deep")
def middle(queue):
    process = mp.get_context("spawn").Process(target=deep, args=(queue,))
    process.start(); process.join()
if __name__ == "__main__":
    queue = mp.get_context("spawn").Queue()
    process = mp.get_context("spawn").Process(target=middle, args=(queue,))
    process.start()
    print(queue.get())
    process.join()
""",
    "exception_in_a_spawned_child": """
import multiprocessing as mp
def broken(): raise ValueError("in a child")
if __name__ == "__main__":
    process = mp.get_context("spawn").Process(target=broken, name="P")
    process.start(); process.join()
    print(process.exitcode)
""",
    "daemon": """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 1024)
        time.sleep(0.1)
    os._exit(0)
os.wait()
print("end")
""",
    "fork_and_write": """
import os, sys
pid = os.fork()
if pid == 0:
    print("child", flush=True)
    sys.exit(4)
print("status", os.WEXITSTATUS(os.wait()[1]))
""",
    "subprocesses_in_order": """
import os, subprocess, sys
for number in range(5):
    print("print", number)
    os.write(1, b"fd 1\\n")
    os.write(2, b"fd 2\\n")
    print("stderr", file=sys.stderr)
    subprocess.run(["echo", "echo"])
    subprocess.run("echo error >&2", shell=True)
    os.system("echo system")
""",
    "descriptors_that_children_get": """
import os, subprocess, sys
code = "import os; print(sorted(int(f) for f in os.listdir('/proc/self/fd'))[:3])"
subprocess.run([sys.executable, "-c", code], close_fds=False)
""",
    "asyncio_run": """
import asyncio
async def main():
    process = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
    print((await process.communicate())[0])
    await asyncio.gather(asyncio.sleep(0.01), asyncio.sleep(0.02))
asyncio.run(main())
""",
    # --- signals ---
    "signal_handler": """
import os, signal
signal.signal(signal.SIGTERM, lambda number, frame: print("got", number))
os.kill(os.getpid(), signal.SIGTERM)
print("still here")
""",
    "default_signal_handlers": """
import signal
print([signal.getsignal(number) for number in
       (signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)])
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
print(signal.pthread_sigmask(signal.SIG_BLOCK, []))
""",
    "alarm": "import signal\nsignal.alarm(1)\nsignal.pause()\n",
    # --- streams ---
    "read_stdin": "import sys\nprint(repr(sys.stdin.read()))\ninput()\n",
    "close_stdout": "import sys\nprint('a')\nsys.stdout.close()\nsys.stderr.write('b\\n')\n",
    "close_fd_1": "import os\nprint('a')\nos.close(1)\nos.write(2, b'b\\n')\n",
    "replace_stdout": """
import io, sys
sys.stdout = io.StringIO()
print("never")
sys.stderr.write("x")
""",
    "no_stdout": "import sys\nprint('a')\nsys.stdout = None\nprint('never')\n1 / 0\n",
    "no_stderr": "import sys\nsys.stderr = None\n1 / 0\n",
    "close_all_descriptors": """
import os
os.closerange(3, 1024)
files = [open("/dev/null", "w") for _ in range(10)]
print([file.fileno() for file in files])
""",
    "bytes_that_are_no_text": "import sys\nsys.stdout.buffer.write(bytes(range(256)))\n",
    "streams": """
import sys
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream.name, stream.isatty(), stream.encoding, stream.errors, stream.line_buffering)
""",
    "a_million_lines": """
write = open(1, "w", closefd=False).write
for number in range(1000000):
    write("line %d\\n" % number)
""",
    "c_code_writes": """
import ctypes
libc = ctypes.CDLL(None)
libc.puts(b"from C")
libc.fflush(None)
libc.perror(b"from C too")
""",
    # --- what it is ---
    "main_module": """
'''A text.'''
import sys
module = sys.modules["__main__"]
print(__name__, __doc__, __spec__, __package__, type(__loader__).__name__)
print(vars(module) is globals(), type(__builtins__).__name__, __annotations__)
print(sorted(name for name in vars(module) if name not in ("__cached__", "module")))
x: int = 1
print(__annotations__)
""",
    "argv_and_path": """
import os, sys
here = os.path.dirname(os.path.abspath(__file__))
print(sys.argv == [__file__], sys.path[0] == os.path.realpath(here), os.getcwd() == here)
print(os.path.isabs(__file__), sys.flags.optimize, sys.dont_write_bytecode)
""",
    "pickle_of_main": """
import pickle
class Thing: pass
print(type(pickle.loads(pickle.dumps(Thing()))) is Thing)
""",
    "getsource": """
import inspect
def f():
    return 1  # a comment
print(inspect.getsource(f), inspect.getsourcefile(f) == __file__)
""",
    "import_of_a_sibling": "import sibling\nprint(sibling.VALUE, sibling.__name__)\n",
    "reload": "import importlib, sibling\nprint(importlib.reload(sibling).VALUE)\n",
    "main_imported": "import __main__\nprint(__main__.__file__ == __file__)\n",
    "future_annotations": """
from __future__ import annotations
def f(x: nonsense) -> None: pass
print(f.__annotations__)
""",
    "no_future_inherited": "def f(x: int): pass\nprint(f.__annotations__)\n",
    "dataclass_and_hints": """
import dataclasses, typing
@dataclasses.dataclass
class Point:
    x: "int" = 0
print(Point(1), typing.get_type_hints(Point))
""",
    "warnings": """
import warnings
warnings.warn("seen in __main__", DeprecationWarning)
warnings.warn("a plain one")
""",
    "logging": "import logging\nlogging.warning('careful')\nlogging.getLogger('x').error('bad')\n",
    "print_exc": """
import traceback
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
""",
    "unittest_main": """
import unittest
class Test(unittest.TestCase):
    def test(self): self.assertEqual(1, 1)
if __name__ == "__main__":
    import io
    unittest.main(testRunner=unittest.TextTestRunner(stream=io.StringIO()))
""",
    "runpy": "import runpy\nprint(runpy.run_path('sibling.py')['VALUE'])\n",
    "modules_loaded": """
import sys
extra = {"bgrscrpt", "_bgrscrpt_hook"}
print(sorted(name for name in ("json", "typing", "logging", "threading", "subprocess", "re")
             if name in sys.modules))
""",
}

# Bytes that a text cannot say.
RAW: dict[str, bytes] = {
    "latin_1_cookie": "# -*- coding: latin-1 -*-\nprint(ascii('größe'))\n".encode("latin-1"),
    "utf_8_bom": b"\xef\xbb\xbfprint('bom')\n",
    "crlf": b"print('a')\r\nx = '''b\r\nc'''\r\nprint(repr(x))\r\n",
    "empty": b"",
    "form_feed_and_tabs": b"\x0cif True:\n\tprint('tab')\n",
    "no_newline": b"print('a')",
    "not_utf_8": b"x = '\xff'\n",
}


def written(directory: Path, name: str) -> Path:
    """The script on disk, with a module beside it."""
    (directory / "sibling.py").write_text("VALUE = 42\n")
    script = directory / "script.py"
    script.write_bytes(RAW[name] if name in RAW else SCRIPTS[name].lstrip("\n").encode())
    return script


def same_bytes(name: str, ours: bytes, plain: bytes) -> bool:
    """Compare what both printed, but for two differences that cannot be helped.

    The compiler names a bad byte otherwise when it gets bytes. And Python 3.13 draws marks below a
    line only if it can import `traceback`: a script that has lost its search path prints none by
    hand. Here TRACEBACK needs that module, so it is loaded, and the marks are drawn.
    """
    if name == "search_path_lost":
        return MARKS.sub(b"", ours) == MARKS.sub(b"", plain)
    return ours == plain or (name == "not_utf_8" and b"SyntaxError" in ours)
