"""A decoder that translates: texts in, what they are in the other language out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mynah.generate.beam import BeamRequest, Hypothesis, beam_search
from mynah.generate.settings import BeamConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.tune.translate.directions import Direction
from mynah.tune.translate.glossary import UNSPACED, Glossary, Term
from mynah.tune.translate.placed import Placer, Wanted

#: A translation is at most so many times as long as its source, and so many tokens besides.
LONGER, BESIDES = 2.0, 16
#: Languages that put no spaces between sentences.
WITHOUT_SPACES = frozenset(("zh", "ja", "th"))
#: Where a text is cut that is longer than what was learned from: after a sentence, else after a clause, else a word.
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*")
_CLAUSE = re.compile(r"(?<=[,;:])\s+|(?<=[，；：、])\s*")
_WORD = re.compile(r"\s+")
_LINE_END = re.compile("(\r\n|[\r\n\v\f\x1c-\x1e\x85\u2028\u2029])")


@dataclass(frozen=True)
class Translation:
    """What a text was translated to."""

    text: str
    #: mean probability of a token, 0 to 1: how sure the model was of its words
    confidence: float
    #: terms of the glossary that it holds
    terms: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"text": self.text, "confidence": round(self.confidence, 4), "terms": list(self.terms)}


@dataclass(frozen=True)
class _Asked:
    """A piece of a text that is translated by itself."""

    text: str
    #: of the glossary, those that stand in it
    terms: Sequence[Term]


class PairTranslator:
    """A model that has learned pairs.

    Args:
        model: in evaluation mode.
        tokenizer: and its template.
        directions: that it has learned, the first one the default.
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer, directions: Sequence[Direction]) -> None:
        self.model, self.tokenizer, self.directions = model, tokenizer, tuple(directions)

    def translate(
        self,
        texts: Sequence[str],
        direction: Direction,
        beam: BeamConfig = BeamConfig(),
        glossary: Glossary = Glossary(),
        told: Callable[[float], None] | None = None,
    ) -> list[Translation]:
        """Return what each text is in the other language; lines stay lines.

        Args:
            texts: of any length.
            direction: one of `directions`.
            beam: how the likeliest translation is sought.
            glossary: of this direction; its terms stand in the translation of a piece that holds them.
            told: is told what share is done, from 0 to 1.

        Raises:
            ConfigError: if the terms of one piece are longer than its translation may be.
        """
        cut = [self._pieces(text, direction) for text in texts]
        asked = [
            _Asked(piece, glossary.wanted(piece)) for pieces in cut for piece, _ in pieces if piece.strip()
        ]
        found = self._found(asked, direction, beam, told)
        ready = iter(zip(asked, found, strict=True))
        return [self._put_together(pieces, ready) for pieces in cut]

    def _found(
        self,
        asked: Sequence[_Asked],
        direction: Direction,
        beam: BeamConfig,
        told: Callable[[float], None] | None,
    ) -> list[Hypothesis | None]:
        """Return the likeliest translation of each piece that holds its terms."""
        plain = beam_search(self.model, [self._request(one.text, direction) for one in asked], beam, told)
        found: list[Hypothesis | None] = [ranked[0] if ranked else None for ranked in plain]
        unclear = {}
        for number, (one, ranked) in enumerate(zip(asked, plain, strict=True)):
            texts = [self.tokenizer.decode(hypothesis.tokens) for hypothesis in ranked]
            saying = [n for n, text in enumerate(texts) if all(term.said_in(text) for term in one.terms)]
            if saying:
                found[number] = ranked[saying[0]]
            elif one.terms:
                request = self._request(one.text, direction, one.terms)
                placed = self._placed(one, request, ranked[0], direction) if ranked else None
                if placed is None:
                    unclear[number] = request
                else:
                    found[number] = placed
        for number, ranked in zip(
            unclear, beam_search(self.model, list(unclear.values()), beam), strict=True
        ):
            found[number] = ranked[0] if ranked else None
        return found

    def _placed(
        self, one: _Asked, request: BeamRequest, plain: Hypothesis, direction: Direction
    ) -> Hypothesis | None:
        """Return a translation with the terms in the places of the model's own words; None if these are not clear."""
        text = self.tokenizer.decode(plain.tokens)
        missing = [
            Wanted(tuple(phrase), tuple(self._request(term.without, direction).prompt))
            for term, phrase in zip(one.terms, request.phrases, strict=True)
            if not term.said_in(text)
        ]
        placed = Placer(self.model, self.tokenizer).place(request.prompt, plain, missing)
        if placed is None or not all(
            term.said_in(self.tokenizer.decode(placed.tokens)) for term in one.terms
        ):
            return None
        return placed

    def _put_together(
        self,
        pieces: Sequence[tuple[str, str]],
        ready: Iterator[tuple[_Asked, Hypothesis | None]],
    ) -> Translation:
        text, log_prob, count, terms = "", 0.0, 0, list[str]()
        for piece, gap in pieces:
            if piece.strip():
                asked, found = next(ready)
                terms += [term.target for term in asked.terms]
                if found is not None:
                    text += self.tokenizer.decode(found.tokens).strip()
                    log_prob, count = log_prob + found.log_prob, count + len(found.tokens) + 1
            text += gap
        return Translation(text, math.exp(log_prob / max(1, count)), tuple(terms))

    def _request(self, text: str, direction: Direction, terms: Sequence[Term] = ()) -> BeamRequest:
        template = self.tokenizer.template
        prompt = template.prompt(direction.messages(text.strip()))
        phrases = [self._phrase(term.target) for term in terms]
        room = math.ceil(LONGER * len(self.tokenizer.encode(text))) + BESIDES + sum(map(len, phrases))
        room = min(room, self.model.config.context_length - len(prompt))
        return BeamRequest(prompt, room, template.stop_ids, template.forbidden_ids, phrases)

    def _phrase(self, term: str) -> list[int]:
        """Return a term's tokens as they stand after a space, where its script has spaces."""
        return self.tokenizer.encode(term if UNSPACED.match(term) else f" {term}")

    def _pieces(self, text: str, direction: Direction) -> list[tuple[str, str]]:
        """Return a text in pieces that are short enough, each with what follows its translation."""
        asking = len(self.tokenizer.template.prompt(direction.messages("")))
        half = max(1, (self.model.config.context_length - asking) // 2 - 1)
        between = "" if direction.target in WITHOUT_SPACES else " "

        def fits(piece: str) -> bool:
            return len(piece) <= direction.longest and len(self.tokenizer.encode(piece)) <= half

        made: list[tuple[str, str]] = []
        for bare, end in _lines(text):
            pieces = [piece for piece, _ in _cut(bare, fits, (_SENTENCE, _CLAUSE, _WORD))]
            made += [(piece, between) for piece in pieces[:-1]]
            made.append((pieces[-1], end))
        return made


def _lines(text: str) -> list[tuple[str, str]]:
    """Return the lines of a text, each with what ends it."""
    found = _LINE_END.split(text)
    return list(zip(found[::2], [*found[1::2], ""], strict=True))


def _cut(text: str, fits: Callable[[str], bool], at: Sequence[re.Pattern[str]]) -> list[tuple[str, str]]:
    """Return a text as it is, or cut where the first pattern says, and what is still too long where the next one does.

    Sentences are translated each by itself, as they are learned; of clauses and words those that fit stay together.
    """
    if fits(text) or not text:
        return [(text, "")]
    if not at:  # a run without any space: by characters
        middle = len(text) // 2
        if not middle:
            return [(text, "")]
        return [*_cut(text[:middle], fits, at), *_cut(text[middle:], fits, at)]
    ends = [match.span() for match in at[0].finditer(text)]
    parts, begin = [], 0
    for first, last in ends:
        parts.append((text[begin:first], text[first:last]))
        begin = last
    parts.append((text[begin:], ""))
    if len(parts) == 1:
        return _cut(text, fits, at[1:])
    joined: list[tuple[str, str]] = []
    for part, gap in parts:
        before = joined[-1] if joined else None
        if at[0] is not _SENTENCE and before is not None and fits(whole := before[0] + before[1] + part):
            joined[-1] = whole, gap
        else:
            joined.append((part, gap))
    made: list[tuple[str, str]] = []
    for part, gap in joined:
        pieces = _cut(part, fits, at[1:])
        made += [*pieces[:-1], (pieces[-1][0], gap)]
    return made
