"""What runs in the script's interpreter: only the standard library, Python 3.8 or newer."""
