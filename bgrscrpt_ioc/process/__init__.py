"""The processes of one run: how they are launched, what they write and say, how they end."""
