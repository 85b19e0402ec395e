"""What is wrong with the text: repeated on both sides, badly cut, too little, with the signs of a template in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from mynah.data.dedup.config import DuplicateConfig
from mynah.data.dedup.duplicates import band_keys, fingerprint
from mynah.data.records import Record
from mynah.data.split.identity import asked
from mynah.diagnose.findings import Finding
from mynah.evaluate.language_model import score_ngram, summarise
from mynah.ngram.config import NGramConfig
from mynah.ngram.model import NGramModel, quiet
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer

#: Share of the held-out records that may stand in the training part.
_REPEATED = 0.01
#: A text is near another one that shares this many bands of its signature, of `DuplicateConfig.bands`.
_BANDS = 1
#: Texts shorter than this are alike by chance: "Yes, please."
_SHORTEST = 40
#: Own bytes a token, as a share of those of a vocabulary made from the text.
_SPLIT = 0.6
#: Characters of text and entries of a vocabulary that such a one is made from.
_SAMPLE, _VOCABULARY = 1_000_000, 8_192
#: Share of replies that may lack their end, and of records that may hold signs of a template.
_ENDLESS, _SIGNS = 0.1, 0.01
#: Signs by which chat templates part turns: ChatML and Llama 3, Llama 2, Gemma, Alpaca, Vicuna.
_SIGN = re.compile(
    r"<\|(?:im_start|im_end|user|assistant|system|eot_id|start_header_id|end_header_id|endoftext)\|>|\[/?INST\]|</?s>|"
    r"<</?SYS>>|<(?:start|end)_of_turn>|^### (?:Instruction|Response|Human|Assistant):",
    re.MULTILINE,
)
#: Text is too little where the network sees it so many times, and twice as much would save this share and so many bits.
_PASSES, _SAVED, _SAVED_BITS = 4.0, 0.05, 0.05
#: Parts of the text, of which n-gram models are counted.
_SHARES = (0.25, 0.5, 1.0)


def repeated_across_the_split(train: Iterable[Record], held_out: Sequence[Record]) -> Finding | None:
    """Find held-out records that stand in the training part, but for case and white space, or what is asked in them.

    As where records are held out, that they are replied to alike does not count; nor does what everybody says, short
    texts.
    """
    long = [record for record in held_out if sum(map(len, record.texts)) >= _SHORTEST]
    if not long:
        return None
    config = DuplicateConfig()
    prints = {fingerprint(record) for record in long}
    keys = band_keys(list(map(_long_asked, long)), config)
    wanted = set(keys.ravel().tolist()) - {0}
    found: set[bytes] = set()
    near: set[int] = set()
    batch: list[str] = []

    def look(texts: list[str]) -> None:
        near.update(wanted.intersection(band_keys(texts, config).ravel().tolist()))

    for record in train:
        if (print_ := fingerprint(record)) in prints:
            found.add(print_)
        batch.append(_long_asked(record))
        if len(batch) == 2_000:
            look(batch)
            batch = []
    look(batch)
    alike = [
        record
        for record, row in zip(long, keys, strict=True)
        if fingerprint(record) in found or len(near.intersection(row.tolist())) >= _BANDS
    ]
    share = len(alike) / len(held_out)
    if share < _REPEATED:
        return None
    values = {"count": len(alike), "held_out": len(held_out), "share": share}
    return Finding("duplicates", values, places=tuple(record.place for record in alike[:10]))


def _long_asked(record: Record) -> str:
    """Return what is asked, or nothing of what many ask in the same words."""
    text = asked(record)
    return text if len(text) >= _SHORTEST else ""


def template_in_text(records: Iterable[Record]) -> Finding | None:
    """Find the signs of chat templates in what should be words."""
    count, found, signs = 0, list[str](), Counter[str]()
    for record in records:
        count += 1
        here = {match for text in record.texts for match in _SIGN.findall(text)}
        if here:
            found.append(record.place)
            signs.update(here)
    if not count or len(found) < _SIGNS * count:
        return None
    values = {"count": len(found), "records": count, "sign": signs.most_common(1)[0][0]} if found else {}
    return Finding("template_in_text", values, places=tuple(found[:10])) if found else None


def endless_replies(data: TokenSet, stops: Iterable[int]) -> Finding | None:
    """Find replies that do not end with what ends one: a network that learns from them does not stop."""
    said = data.reply
    ends = np.flatnonzero(said & ~np.append(said[1:], False))
    begins_record = np.zeros(len(said) + 1, bool)
    begins_record[data.starts] = True
    ends = np.union1d(ends, np.flatnonzero(said & begins_record[1:]))
    if not len(ends):
        return None
    share = float(1 - np.isin(data.tokens[ends], list(stops)).mean())
    return Finding("no_stop_learned", {"share": share}) if share > _ENDLESS else None


def badly_split(tokenizer: Tokenizer, texts: Sequence[str]) -> Finding | None:
    """Compare how many bytes a token stands for with what a vocabulary made from the text itself reaches."""
    sample, size = list[str](), 0
    for text in texts:
        if size > _SAMPLE:
            break
        sample.append(text)
        size += len(text)
    n_bytes = sum(len(text.encode()) for text in sample)
    if n_bytes < 10_000:  # too little to make a vocabulary from
        return None
    vocab_size = min(_VOCABULARY, tokenizer.vocab_size)
    fresh = Tokenizer.train(sample, vocab_size)
    own_count, fresh_count = (sum(map(len, one.encode_batch(sample))) for one in (tokenizer, fresh))
    own, other = n_bytes / max(1, own_count), n_bytes / max(1, fresh_count)
    if own >= _SPLIT * other:
        return None
    return Finding("tokenizer", {"own": own, "fresh": other, "vocab_size": f"{fresh.vocab_size:,}"})


def more_text_helps(
    train: TokenSet, held_out: TokenSet, order: int, bos: int, vocab_size: int, passes: float, parameters: int
) -> Finding | None:
    """Say what twice the text would bring, by n-gram models counted on parts of it.

    Their losses are taken to fall as a power of how much there is (Kaplan et al. 2020, section 3.4, of networks).

    Args:
        train: what is learned from.
        held_out: what is measured on.
        order: of the n-gram models.
        bos: the token that begins a text.
        vocab_size: of the tokenizer.
        passes: how often the network saw the text.
        parameters: of the network.
    """
    if passes < _PASSES or len(train) < 8:
        return None
    rng = np.random.default_rng(0)
    order_of = rng.permutation(len(train))
    losses = []
    for share in _SHARES:
        part = train.select(np.sort(order_of[: max(1, round(share * len(train)))]))
        with quiet():
            model = NGramModel.train_ids(part.tokens, vocab_size, bos, NGramConfig(order=order))
        score = summarise(score_ngram(model, held_out, with_hits=False), held_out)
        if score is None:
            return None
        losses.append(score.bpb)
    slope = np.polyfit(np.log(_SHARES), np.log(losses), 1)[0]
    then = losses[-1] * 2 ** float(slope)
    if losses[-1] - then < max(_SAVED * losses[-1], _SAVED_BITS):
        return None
    values = {
        "tokens": f"{len(train.tokens):,}", "parameters": f"{parameters:,}", "passes": passes, "now": losses[-1],
        "then": then,
    }  # fmt: skip
    return Finding("more_text_helps", values)
