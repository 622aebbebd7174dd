"""Access security: who may read and write which PV, in the form that EPICS uses."""
