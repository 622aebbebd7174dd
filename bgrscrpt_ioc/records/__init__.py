"""The records: one table, and one live value for each record. No protocol is known here."""
