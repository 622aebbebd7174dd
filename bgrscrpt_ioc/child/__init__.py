"""What runs in the script's interpreter: the standard library alone, Python 3.8 or newer."""
