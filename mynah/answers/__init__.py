"""Answers one can stand behind: from the log, with their source, and silence where it does not know."""
