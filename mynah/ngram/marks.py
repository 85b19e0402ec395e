"""The three words that every vocabulary of words begins with, and their ids."""

from __future__ import annotations

UNK_WORD, BOS_WORD, EOS_WORD = "<unk>", "<s>", "</s>"
UNK, BOS, EOS = 0, 1, 2
MARKS = (UNK_WORD, BOS_WORD, EOS_WORD)
