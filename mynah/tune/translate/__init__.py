"""Texts and their translations: which way, a glossary, a decoder that translates, a lexicon to measure it against."""
