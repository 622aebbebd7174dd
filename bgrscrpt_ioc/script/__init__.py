"""One instance: its script's file, its runs, what is published of them, what is kept on disk."""
