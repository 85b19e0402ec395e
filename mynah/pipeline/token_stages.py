"""The stages that turn records into tokens and count them: tokenizer, token shards, n-gram model, prior."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mynah import artifacts
from mynah.artifacts import Manifest
from mynah.data.records import as_conversation
from mynah.data.store import count_records, read_records
from mynah.evaluate.baseline import best_order
from mynah.evaluate.language_model import drawn_records
from mynah.ngram.config import NGramConfig
from mynah.pipeline.prior_stage import make_prior
from mynah.pipeline.stage import Build, Counts, Stage
from mynah.tokenizer.dataset import TokenSet, encode_to_file
from mynah.tokenizer.examples import rejected_conversations
from mynah.tokenizer.system import OWN, shortest_system, with_system
from mynah.tokenizer.tokenizer import Tokenizer, choose_vocab_size

PARTS = ("train", "held_out")


def _tokenizer(build: Build, out: Path) -> Counts:
    system = build.recipe.system
    if build.base is not None:
        tokenizer = Tokenizer.load(build.base)
        if system is None and tokenizer.brings_template:
            system = shortest_system(tokenizer)
        if system not in (None, OWN):
            tokenizer = with_system(tokenizer, system)
    else:

        def texts() -> Iterator[str]:
            for record in read_records(build.records_of("train")):
                yield from as_conversation(record).texts

        size = build.recipe.tokenizer.vocab_size or choose_vocab_size(
            sum(len(text.encode()) for text in texts())
        )
        tokenizer = Tokenizer.train(texts(), size)
    # A base that has not learned to talk is not made to look like one that has.
    tokenizer.save(out, talks=tokenizer.brings_template)
    return {"vocab_size": tokenizer.vocab_size, "system": system}


def _say_tokenizer(build: Build, manifest: Manifest) -> Iterator[str]:
    if build.base is None:
        if build.recipe.system is not None:
            yield "a network from random weights is told nothing beforehand: --system is left out"
    elif manifest.counts["system"] == "" and build.recipe.system is None:
        yield "told nothing before a conversation: the base's own words would cost more (--system default keeps them)"


def _tokens(build: Build, out: Path) -> Counts:
    counts: Counts = {}
    for part in PARTS:
        records = read_records(build.records_of(part))
        encoded = encode_to_file(records, build.tokenizer, out / build.paths.tokens_of(part).name)
        counts[part] = {
            "tokens": len(encoded.tokens),
            "replies": int(encoded.reply.sum()),
            "bytes": int(encoded.n_bytes[:, 0].sum()),
            "refused": count_records(build.records_of(part)) - len(encoded),
        }
        if len(encoded.records_of("preference")):
            worse = rejected_conversations(read_records(build.records_of(part)))
            encode_to_file(worse, build.tokenizer, out / build.paths.rejected_of(part).name)
    return counts


def _say_tokens(build: Build, manifest: Manifest) -> Iterator[str]:
    counts, vocabulary = manifest.counts["train"], build.made["tokenizer"].counts["vocab_size"]
    yield (
        f"vocabulary of {vocabulary:,}, {counts['tokens']:,} tokens to learn "
        f"from ({counts['bytes'] / max(1, counts['tokens']):.2f} bytes a token)"
    )
    if refused := sum(manifest.counts[part]["refused"] for part in PARTS):
        yield f"{refused:,} conversations left out: the base's chat template cannot say them"


def _ngram(build: Build, out: Path) -> Counts:
    data, held_out = (TokenSet.load(build.paths.tokens_of(part)) for part in PARTS)
    measured = drawn_records(held_out, build.scored_tokens)
    tokenizer = build.tokenizer
    baseline = best_order(data, measured, build.recipe.ngram, tokenizer.vocab_size, tokenizer.control.bos)
    order = baseline.model.order
    baseline.model.save(out / build.paths.ngram_model.name)
    scores = {"order": order, "by_order": baseline.by_order}
    artifacts.write_json(out / build.paths.ngram_scores.name, scores)
    fell_back = baseline.model.about.get("fell_back", [])
    return {"order": order, "bpb": baseline.bpb, "fell_back": fell_back}


def _say_ngram(build: Build, manifest: Manifest) -> Iterator[str]:
    counts = manifest.counts
    yield (
        f"n-gram model of order {counts['order']}: {counts['bpb']:.3f} bits per held-out byte"
        + ("; the text is too small to find all of its discounts" if counts["fell_back"] else "")
    )


def _prior_config(build: Build) -> NGramConfig:
    order = build.recipe.prior.order or max(2, int(build.made["ngram"].counts["order"]))
    return build.recipe.ngram.model_copy(update={"order": order})


def _prior_settings(build: Build) -> dict[str, Any]:
    config = _prior_config(build)
    return {
        "order": config.order,
        "folds": build.recipe.prior.folds,
        "smoothing": config.smoothing,
        "split": build.recipe.split.model_dump(mode="json"),  # says what is kept together in a fold
    }


def _prior(build: Build, out: Path) -> Counts:
    return make_prior(build.paths, out, _prior_config(build), build.recipe.prior.folds, build.recipe)


def _say_prior(build: Build, manifest: Manifest) -> Iterator[str]:
    order = manifest.counts["order"]
    yield f"the network goes on from an n-gram model of order {order}: mynah export cannot write it"


TOKENIZER = Stage(
    "tokenizer",
    "learning the vocabulary",
    _tokenizer,
    needs=("split", "pairs"),
    settings=lambda build: {
        **build.recipe.tokenizer.model_dump(mode="json"),
        **({"system": build.recipe.system} if build.base is not None else {}),
    },
    say=_say_tokenizer,
    files=lambda build: build.base_hash,
)
TOKENS = Stage("tokens", "encoding", _tokens, needs=("split", "pairs", "tokenizer"), say=_say_tokens)
NGRAM = Stage(
    "ngram",
    "counting n-grams",
    _ngram,
    needs=("tokens",),
    settings=lambda build: {
        **build.recipe.ngram.model_dump(mode="json"),
        "max_tokens": build.scored_tokens,
    },
    say=_say_ngram,
)
PRIOR = Stage(
    "prior",
    "counting what the network goes on from",
    _prior,
    needs=("tokens",),
    settings=_prior_settings,
    say=_say_prior,
    wanted=lambda build: build.recipe.prior.kind != "none",
    seeded=True,
)
