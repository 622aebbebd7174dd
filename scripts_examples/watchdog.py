"""A watchdog that restarts an IOC when its block is in alarm. It needs no genie_python.

The prefix of the instrument is MYPVPREFIX. The directory `general` beside this script has the
watchdog itself.
"""

import os
import sys
from time import sleep

sys.path.insert(
    0, os.path.abspath(os.path.join(os.environ["KIT_ROOT"], "ISIS", "inst_servers", "master"))
)

from general.utilities.restart_ioc_when_pv_in_alarm import restart_ioc_when_pv_in_alarm
from server_common.helpers import register_ioc_start

register_ioc_start(os.environ.get("BGRSCRPT_NAME", "BGRSCRPT_01"))

restart_ioc_when_pv_in_alarm(
    block_to_monitor="field_ZF_status",
    iocs_to_restart=["ZFMAGFLD_01"],
    error_states=["No new magnetometer data", "Magnetometer data invalid"],
    severities=["INVALID"],
    wait_between_restarts=20,
    wait_for_polling=1,
)

while True:
    sleep(10)
