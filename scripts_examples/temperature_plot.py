"""Plots the sample's temperature and its set point, live in a browser: http://127.0.0.1:8989.

The script's Python needs this project's extra `plot`. With genie_python, the script has one line
more: see docs/how-to/run-the-background-plot.md.
"""

import os
import sys
from time import sleep

sys.path.insert(
    0, os.path.abspath(os.path.join(os.environ["KIT_ROOT"], "ISIS", "inst_servers", "master"))
)

from server_common.helpers import register_ioc_start
from technique.muon.background_plot import BackgroundBlockPlot

register_ioc_start("BGRSCRPT_01")

plot = BackgroundBlockPlot(
    (("Temp_Sample", "value"), ("Temp_SP", "set point")), "Temperature"
).start()

while True:
    sleep(10)
