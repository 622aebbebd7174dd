"""The life of a script: which event has which effect in which state.

Pure: no clock, I/O or asyncio.
"""
