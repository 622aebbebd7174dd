import sys
import os
from time import sleep

sys.path.insert(0, os.path.abspath(os.path.join(r"C:\\", "Instrument", "scripts")))
sys.path.insert(1, os.path.abspath(os.path.join(os.environ["KIT_ROOT"], "ISIS", "inst_servers", "master")))

from general.utilities.restart_ioc_when_pv_in_alarm import restart_ioc_when_pv_in_alarm
from genie_python import genie as g
from server_common.helpers import register_ioc_start


register_ioc_start("BGRSCRPT_01")

g.set_instrument(None)

restart_ioc_when_pv_in_alarm(block_to_monitor="field_ZF_status", iocs_to_restart=["ZFMAGFLD_01"], error_states=["No new magnetometer data", "Magnetometer data invalid"])

while True:
    sleep(10)
