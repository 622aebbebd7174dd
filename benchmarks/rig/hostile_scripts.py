"""Hostile scripts, each bounded in what it takes of the machine; for tests and benchmarks."""

MAIN = "import os, sys, time\nprint('IOC started', flush=True)\n"
WAIT = "print('the end', flush=True)\ntime.sleep(1000)\n"
FORGER = """
channel = bgrscrpt._channel.fd if hasattr(bgrscrpt._channel, 'fd') else 200
os.set_blocking(channel, True)
me = b'%d=' % os.getpid()
for text in (b'{', b'\\xff\\xfe', b'[' * 100000, me + b'{"kind":"nothing"}', b'1={"kind":"alive"}',
             me + b'{"kind":"began","pid":1,"sha256":"","python":"","executable":""}',
             me + b'{"kind":"failed","error":5}', b'\\0' * 5000):
    os.write(channel, text + b'\\n')
for _ in range(10):
    os.write(channel, b'x' * 100000)
os.write(channel, b'\\n')
for _ in range(5000):
    os.write(channel, me + b'{"kind":"message","text":"flood"}\\n')
"""

# Loops without end, each for a minute at most.
FOR_A_MINUTE = "end = time.monotonic() + 60\nwhile time.monotonic() < end:\n"
IMPORTS = MAIN + (
    "import bgrscrpt\nfrom server_common.helpers import register_ioc_start\n"
    "os.set_blocking(bgrscrpt._channel.fd, True)\nnumber = 0\n"
)
FLOODS = {
    "alive without end": "    bgrscrpt.alive()\n",
    "message without end": "    bgrscrpt.message('x' * 200)\n",
    "progress without end": "    bgrscrpt.progress(number % 100)\n    number += 1\n",
    "unfinished messages": "    os.write(bgrscrpt._channel.fd, b'1+\\n' * 1000)\n",
    "forged heartbeats": "    os.write(bgrscrpt._channel.fd,"
    ' b\'1={"kind" :"alive","count":1}\\n\' * 100)\n',
    "names without end": "    register_ioc_start('BGR_%d' % number, {'PV': {}})\n    number += 1\n",
    "PVs without end": "    pvs = {'PV%d' % n: {} for n in range(900)}\n"
    "    register_ioc_start('BGRSCRPT_01', pvs)\n",
    "values without end": "    pv = bgrscrpt.pv('X', 0.0)\n    number += 1\n    pv.set(number)\n",
    "arrays without end": "    pv = bgrscrpt.pv('XS', [0.0])\n    pv.set([1.5] * 100000)\n",
    "forged values": "    os.write(bgrscrpt._channel.fd, b'1!X=1\\n' * 500)\n",
    "short lines": "    os.write(1, b'x\\n')\n",
    "lines like ours": "    os.write(1, b'x\\r--- Stopped by the director\\n' * 1000)\n",
    "forks that print": "    pid = os.fork()\n    if pid == 0:\n        os.write(1, b'child\\n')\n"
    "        os._exit(0)\n    os.waitpid(pid, 0)\n",
}

HOSTILE = {
    **{name: IMPORTS + FOR_A_MINUTE + loop for name, loop in FLOODS.items()},
    "memory hog": MAIN
    + "kept = []\nfor _ in range(40):\n    kept.append(b'x' * 10_000_000)\n    time.sleep(0.3)\n",
    "fast hog": MAIN + "x = bytearray(2_000_000_000)\n",
    "sharing workers": MAIN
    + "kept = b'x' * 100_000_000\nfor _ in range(3):\n    if os.fork() == 0:\n"
    "        time.sleep(1000)\ntime.sleep(2)\nprint('weighed', flush=True)\ntime.sleep(1000)\n",
    "fork bomb": MAIN
    + "os.environ.clear()\nforks = os.open('forks', os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
    "end = time.monotonic() + 30\nwhile time.monotonic() < end:\n"
    "    if os.fstat(forks).st_size < 80 and os.write(forks, b'x') and os.fork() == 0:\n"
    "        os.setsid()\n    time.sleep(0.001)\n",
    "hopper": MAIN + "if os.fork() == 0:\n    os.setsid()\n    end = time.monotonic() + 60\n"
    "    while time.monotonic() < end:\n        if os.fork():\n            os._exit(0)\n"
    "        time.sleep(0.0005)\n    os._exit(0)\nprint('hopping', flush=True)\ntime.sleep(1000)\n",
    "descriptor hog": MAIN + "kept = [os.open('/dev/null', 0) for _ in range(5000)]\n",
    "cpu hog": MAIN + "import threading\ndef spin():\n    end = time.monotonic() + 60\n"
    "    while time.monotonic() < end: pass\n"
    "for _ in range(4):\n    threading.Thread(target=spin, daemon=True).start()\n"
    "time.sleep(1000)\n",
    "much output": MAIN
    + "line = b'0123456789' * 9 + b'\\n'\nfor _ in range(1100):\n    os.write(1, line * 1000)\n"
    + WAIT,
    "binary output": MAIN
    + "data = bytes(range(256)) * 256\nfor _ in range(1600):\n    os.write(1, data)\n"
    + "print()\n"
    + WAIT,
    "forger": MAIN + "import bgrscrpt\n" + FORGER + WAIT,
    "stopped": MAIN + WAIT,
}
