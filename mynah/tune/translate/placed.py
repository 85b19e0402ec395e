"""Terms of a glossary put where a translation's own words for them stand.

A model that has never seen a term gives it so little probability that a search for it ends far from any translation.
So the model translates as it would, and is asked which of its words hang on the source's term: those whose probability
falls most once the term is taken out of the source (occlusion: Zeiler & Fergus 2014; Li et al. 2016, "Understanding
Neural Networks through Representation Erasure").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mynah.generate.beam import Hypothesis
from mynah.generate.state import DecodingState
from mynah.model.transformer import Transformer
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.tune.translate.glossary import UNSPACED

#: Nats by which a word's probability must fall to hang on a term, and the share of the largest fall that belongs to it.
LEAST_FALL, SHARE = 1.0, 0.5
#: Characters of a word in a script without spaces, at most: a fall tells where it begins, not where it ends.
LONGEST_WORD = 4


@dataclass(frozen=True)
class Wanted:
    """A term that a translation must hold and does not."""

    #: tokens of its translation
    phrase: tuple[int, ...]
    #: what is asked with the term taken out of the source
    without: tuple[int, ...]


def read(
    model: Transformer, prompts: Sequence[Sequence[int]], said: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Return the log-probability of each token that is said after each prompt."""
    state = DecodingState(model)
    logits = state.add(prompts)
    return [log_probs.tolist() for log_probs, _ in state.score(logits, said)]


class Placer:
    """Puts terms into translations.

    Args:
        model: in evaluation mode.
        tokenizer: of the model.
    """

    def __init__(self, model: Transformer, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.end = min(tokenizer.template.stop_ids)

    def place(self, prompt: Sequence[int], plain: Hypothesis, terms: Sequence[Wanted]) -> Hypothesis | None:
        """Return a translation with all terms in it; None if of one of them it is not clear where.

        Args:
            prompt: what was asked.
            plain: what the model says by itself.
            terms: at least one, in their order in the source.
        """
        if not plain.tokens:
            return None
        words = self._words(plain.tokens)
        known, *less = read(
            self.model,
            [prompt, *(term.without for term in terms)],
            [plain.tokens] * (1 + len(terms)),
        )
        taken: list[tuple[int, int, Wanted]] = []
        for term, log_probs in zip(terms, less, strict=True):
            falls = [
                sum(known[at] - log_probs[at] for at in range(first, last))
                if not any(first < end and begin < last for begin, end, _ in taken)
                else 0.0
                for first, last in words
            ]
            most = max(range(len(words)), key=lambda n: falls[n])
            if falls[most] < LEAST_FALL:
                return None
            low = high = most
            while low > 0 and falls[low - 1] >= SHARE * falls[most]:
                low -= 1
            while high + 1 < len(words) and falls[high + 1] >= SHARE * falls[most]:
                high += 1
            taken.append((words[low][0], words[high][1], term))
        return self._likeliest(prompt, plain.tokens, taken)

    def _words(self, tokens: Sequence[int]) -> list[tuple[int, int]]:
        """Return where the words of a translation begin and end; of scripts without spaces its characters."""
        # A token may be a part of a character: only what decodes by itself can be cut off.
        texts = [self.tokenizer.decode(tokens[:at]) for at in range(len(tokens) + 1)]
        begins = [0]
        for at in range(1, len(tokens)):
            new = texts[at + 1][len(texts[at]) :] if not texts[at].endswith("\ufffd") else ""
            if new and (new[0].isspace() or UNSPACED.match(new) or not new[0].isalnum()):
                begins.append(at)
        return list(zip(begins, [*begins[1:], len(tokens)], strict=True))

    def _likeliest(
        self, prompt: Sequence[int], tokens: Sequence[int], taken: Sequence[tuple[int, int, Wanted]]
    ) -> Hypothesis:
        """Return the likeliest of the ways to put all terms in: words of unspaced scripts may be longer than seen."""
        ways: list[tuple[int, ...]] = [tuple(tokens)]
        # The last one first, so that the places of the others stay.
        for first, last, term in sorted(taken, key=lambda one: -one[0]):
            ends = [last]
            if UNSPACED.match(self.tokenizer.decode(tokens[first:last]).strip()):
                after = min((begin for begin, _, _ in taken if begin >= last), default=len(tokens))
                ends = list(range(last, min(after, last + LONGEST_WORD - 1) + 1))
            ways = [
                (*way[:first], *term.phrase, *way[end:]) for way in ways for end in ends if end <= len(way)
            ]
        scored = read(self.model, [prompt] * len(ways), [(*way, self.end) for way in ways])
        return max(
            (Hypothesis(way, sum(log_probs)) for way, log_probs in zip(ways, scored, strict=True)),
            key=lambda one: one.log_prob / (len(one.tokens) + 1),
        )
