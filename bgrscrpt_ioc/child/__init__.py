"""The code that runs in the script's interpreter: standard library only, Python 3.8 or newer."""
