"""`import bgrscrpt` in a script that is run by hand, where bgrscrpt_ioc is installed.

Under the IOC a script gets `bgrscrpt_ioc/child/bgrscrpt.py` itself. This is the same module.
"""

from bgrscrpt_ioc.child.bgrscrpt import *  # noqa: F403 - its `__all__` says what scripts may use
from bgrscrpt_ioc.child.bgrscrpt import __all__ as __all__
