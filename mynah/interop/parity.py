"""Proof that what was written is what is in memory, read back from the disk.

Compared are tokens, chat template, what ends a reply, settings and logits.

Dimensions: T tokens, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mynah import artifacts
from mynah.data.records import Message
from mynah.errors import ArtifactError, DataError
from mynah.interop.families import Family
from mynah.interop.loading import fill_from_foreign
from mynah.interop.sources import TensorSource
from mynah.model.config import ModelConfig
from mynah.model.transformer import Transformer
from mynah.tokenizer.foreign import TOKENIZER_CONFIG, read_template
from mynah.tokenizer.jinja import JinjaTemplate, TemplateSource
from mynah.tokenizer.template import END, ChatTemplate
from mynah.tokenizer.tokenizer import Tokenizer

#: Fields that say how a model begins or is trained, not what it computes.
NOT_SAID = {"init", "dropout"}
_TEXTS = (
    "Where is my parcel? It's  late,\nwe've waited 12345 days!\n\n\tI'LL call.",
    "你好，请问什么时候发货？订单 2024-07 已付。",
    "naïve café — déjà vu… 🙂 <|im_end|> def f(x):\n    return x**2  # ok",
)
_TALKS = (
    [Message("user", _TEXTS[0])],
    [Message("user", "Hi"), Message("assistant", "Hello! How can I help?"), Message("user", _TEXTS[1])],
    [Message("system", "Answer in one sentence."), Message("user", "What is 12 + 30?")],
)
#: Logits are compared at no more tokens of a text than this.
_LONGEST = 64


@dataclass(frozen=True)
class Limits:
    """How far logits may be off."""

    #: root of the mean square of the differences, over that of the logits about their mean
    error: float
    #: mean divergence of the next token's distribution, nats
    kl: float


@dataclass(frozen=True)
class Expected:
    """What a model and its tokenizer give before they are written."""

    tokenizer: Tokenizer
    #: whether it was fine-tuned on conversations
    talks: bool
    #: ids of the texts that are compared
    ids: list[list[int]]
    #: (T, V) float32 of each of them
    logits: list[Tensor]


def expect(model: Transformer, tokenizer: Tokenizer, *, talks: bool) -> Expected:
    """Compute what is to come back."""
    config = model.config
    asked = [_prompt(tokenizer.template, talk) for talk in _TALKS] if talks else []
    asked += [tokenizer.begin(text) for text in _TEXTS]
    longest = min(config.context_length, _LONGEST)
    ids = [[token for token in one or [] if token < config.vocab_size][:longest] for one in asked]
    ids = [one for one in ids if one]
    return Expected(tokenizer, talks, ids, _logits(model, ids))


def prove(
    expected: Expected,
    model: Transformer,
    directory: Path,
    read: tuple[Family, ModelConfig],
    source: TensorSource,
    limits: Limits,
) -> None:
    """Compare what a directory holds with what was expected.

    The tensors take the place of the model's own, so that no second model is in memory: afterwards it has the numbers
    of the files.

    Args:
        expected: of the model, before.
        model: the one that was written.
        directory: with the tokenizer's files.
        read: family and config that the files say.
        source: the tensors of the files.
        limits: how far logits may be off.

    Raises:
        ArtifactError: if something differs; the first difference is named.
    """
    compare_tokens(expected, directory)
    family, config = read
    for field in sorted(set(ModelConfig.model_fields) - NOT_SAID):
        ours, theirs = settled(model.config, field), settled(config, field)
        if ours != theirs and not _is_close(ours, theirs):
            raise _differs(field, ours, theirs)
    fill_from_foreign(model, source, family, directory)
    compare_logits(expected.logits, _logits(model, expected.ids), limits)


def compare_logits(expected: list[Tensor], found: list[Tensor], limits: Limits) -> None:
    """Compare (T, V) logits of each text.

    Raises:
        ArtifactError: if they are off by more than the limits.
    """
    error, kl = distance(expected, found)
    if not (error <= limits.error and kl <= limits.kl):  # what is no number is no match either
        raise ArtifactError(
            f"export stopped, nothing is written: logits of the files are off by {error:.2g} of their spread (limit "
            f"{limits.error:g}), the next token's distribution by {kl:.2g} nats (limit {limits.kl:g})"
        )


def settled(config: ModelConfig, field: str) -> object:
    """Return what a field of a config comes to, also where it is left to its default."""
    names = {
        "qkv_bias": "bias_of_qkv",
        "windows": "layer_windows",
        "rotary_layers": "layers_rotary",
        "query_pre_attn_scalar": "score_divisor",
    }
    value: object = getattr(config, names.get(field, field))
    return value


def distance(expected: list[Tensor], found: list[Tensor]) -> tuple[float, float]:
    """Return the error of logits relative to their spread, and the mean divergence in nats.

    Args:
        expected: (T, V) of each text.
        found: of the same shapes.
    """
    spread = off = kl = 0.0
    for a, b in zip(expected, found, strict=True):
        spread += float((a - a.mean(-1, keepdim=True)).square().sum())
        off += float((b - a).square().sum())
        p, q = a.log_softmax(-1), b.log_softmax(-1)
        kl += float(p.sub(q).mul_(p.exp()).sum())
    return math.sqrt(off / max(spread, 1e-12)), kl / sum(map(len, expected))


def template_of(directory: Path, tokenizer: Tokenizer) -> JinjaTemplate | None:
    """Return the template in a directory's files as other programs run it; None if there is none.

    Raises:
        ArtifactError: if a file is damaged.
        DataError: if it is not Jinja.
    """
    text = read_template(directory, artifacts.read_json(directory / TOKENIZER_CONFIG))
    if text is None:
        return None
    if tokenizer.foreign is not None:
        named = tokenizer.foreign.named
    else:
        named = {"bos_token": tokenizer.bos_token, "eos_token": END}
    return JinjaTemplate(
        tokenizer.backend, TemplateSource(text, named, tuple(sorted(tokenizer.template.stop_ids)))
    )


@torch.no_grad()
def _logits(model: Transformer, ids: list[list[int]]) -> list[Tensor]:
    was_training, device = model.training, model.device
    model.eval()
    made = [model.logits(model(torch.tensor([one], device=device)))[0].float().cpu() for one in ids]
    model.train(was_training)
    return made


def _prompt(template: ChatTemplate, talk: list[Message]) -> list[int] | None:
    """Return the ids of a conversation; None if the template refuses it."""
    try:
        return template.prompt(talk)
    except DataError:
        return None


def compare_tokens(expected: Expected, directory: Path) -> None:
    """Compare tokens, stop tokens and chat template that a directory holds with what was expected.

    Raises:
        ArtifactError: if something differs; the first difference is named.
    """
    ours, read = expected.tokenizer, Tokenizer.load(directory)
    for text in _TEXTS:
        if (a := ours.begin(text)) != (b := read.begin(text)):
            raise _differs("the tokens of a text", *_first(a, b))
    if ours.control != read.control:
        raise _differs("what begins and ends a text", ours.control, read.control)
    if ours.template.stop_ids != read.template.stop_ids:
        raise _differs("stop tokens", sorted(ours.template.stop_ids), sorted(read.template.stop_ids))
    written = template_of(directory, read)
    if (written.source.text if written else None) != ours.jinja(talks=expected.talks):
        raise ArtifactError(
            "export stopped, nothing is written: the chat template of the files is another one"
        )
    if written is None:
        return
    for talk in _TALKS:
        wanted = _prompt(ours.template, talk)
        if wanted is None:
            continue
        # Mynah spells a control token out that people write; the template of Mynah's own models refuses it.
        for template in (read.template, written):
            if (found := _prompt(template, talk)) != wanted:
                raise _differs("the tokens of a conversation", *_first(wanted, found or []))


def _first(a: list[int], b: list[int]) -> tuple[str, str]:
    """Return where two lists differ first, as text."""
    shared = min(len(a), len(b))
    at = next((i for i in range(shared) if a[i] != b[i]), shared)
    return f"{a[at : at + 3]} at token {at}", f"{b[at : at + 3]}"


def _is_close(a: object, b: object) -> bool:
    """Whether two numbers are the same but for being stored as float32."""
    return isinstance(a, float) and isinstance(b, int | float) and math.isclose(a, b, rel_tol=1e-6)


def _differs(what: str, ours: object, theirs: object) -> ArtifactError:
    return ArtifactError(
        f"export stopped, nothing is written: {what}: {ours} in memory, {theirs} in the files"
    )
