"""Repeats: equal records, records nearly alike, lines and replies that stand in many."""
