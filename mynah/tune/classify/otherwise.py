"""Texts said in other words by a base that talks: rows that are made from rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mynah.data.language import language_of
from mynah.data.records import Message
from mynah.generate.chat import chat_request
from mynah.generate.engine import generate_all
from mynah.generate.settings import SamplingConfig
from mynah.interop.huggingface import from_hugging_face
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer

#: Characters of a text that is said otherwise at most, texts that are at once, and what a reply may be longer.
LONGEST, AT_ONCE, LONGER = 240, 64, 1.5
#: What is asked, with an example of an answer, which tells a small model more than any wording.
_ASKED = {
    "en": (
        "Say the sentence in other words. Answer with one sentence.\n\nSentence: {}\nIn other words:",
        ("where can i park my car", "is there a place to leave my car"),
    ),
    "zh": (
        "换一种说法，只回答一句话。\n\n原句：{}\n换一种说法：",
        ("在哪里可以停车", "有没有地方能放我的车"),
    ),
}


class Otherwise:
    """A base that says texts in other words.

    Args:
        model: in evaluation mode.
        tokenizer: its own, with its template.
        seed: of what is drawn.
        told: is told what share is done, from 0 to 1.
    """

    def __init__(
        self,
        model: Transformer,
        tokenizer: Tokenizer,
        seed: int,
        told: Callable[[float], None] | None = None,
    ) -> None:
        self.model, self.tokenizer, self.seed, self.told = model, tokenizer, seed, told

    @classmethod
    def open(
        cls, base: Path, device: torch.device, seed: int, told: Callable[[float], None] | None = None
    ) -> Otherwise:
        """Open the base of a directory.

        Raises:
            ArtifactError, ConfigError: as `from_hugging_face`.
        """
        model, tokenizer = from_hugging_face(base)
        return cls(model.to(device).eval(), tokenizer, seed, told)

    def __call__(self, texts: Sequence[str]) -> list[str]:
        """Return each text in other words; one that is long comes back as it is."""
        found = list(texts)
        # Of about one length together: they end at about the same time.
        order = sorted(
            (n for n in range(len(texts)) if len(texts[n]) <= LONGEST), key=lambda n: len(texts[n])
        )
        for first in range(0, len(order), AT_ONCE):
            some = order[first : first + AT_ONCE]
            requests = [
                chat_request(self.model, self.tokenizer, _asked(texts[n]), self._config(texts[n], n))[0]
                for n in some
            ]
            for n, ids in zip(some, generate_all(self.model, requests, AT_ONCE), strict=True):
                found[n] = self.tokenizer.decode(ids).strip().split("\n")[0].strip()
            if self.told is not None:
                self.told((first + len(some)) / len(order))
        return found

    def _config(self, text: str, number: int) -> SamplingConfig:
        room = round(LONGER * len(self.tokenizer.encode(text))) + 8
        return SamplingConfig(temperature=0.7, top_p=0.9, max_tokens=room, seed=self.seed + number)


def _asked(text: str) -> list[Message]:
    ask, (before, after) = _ASKED["zh" if language_of(text).code == "zh" else "en"]
    return [
        Message("user", ask.format(before)),
        Message("assistant", after),
        Message("user", ask.format(" ".join(text.split()))),
    ]
