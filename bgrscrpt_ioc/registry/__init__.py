"""The instrument's IOC registry: what should be in it, and the writer that brings it there."""
