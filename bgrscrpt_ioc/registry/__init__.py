"""The instrument's IOC registry: what should be in it, and the threads that write it."""
