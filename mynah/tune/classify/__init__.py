"""Texts and their classes: ways to tell them apart, chosen by what each does on rows that it has not seen.

N texts, K classes, F features, C the width of a base's hidden states.
"""
