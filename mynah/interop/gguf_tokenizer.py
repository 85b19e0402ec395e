"""Tokenizers of llama.cpp's files, written as Hugging Face has them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mynah import artifacts
from mynah.errors import ArtifactError, ConfigError
from mynah.interop.gguf_names import BYTE, CONTROL, CUTS, STOP_KEYS, UNKNOWN, USER_DEFINED
from mynah.interop.gguf_reader import GGUFFile
from mynah.tokenizer.foreign import CHAT_TEMPLATE, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG
from mynah.tokenizer.markers import KNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer as Backend
    from tokenizers.models import Model

#: What SentencePiece writes for a space.
_SPACE = "\u2581"
#: Names in tokenizer_config.json -> in `tokenizer.ggml.*_token_id`.
_NAMED = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def write_tokenizer(file: GGUFFile, context_length: int, directory: Path) -> dict[str, int]:
    """Write a file's tokenizer, chat template and the tokens that end a reply.

    Args:
        file: that holds them.
        context_length: tokens that its model reads.
        directory: where.

    Returns:
        What config.json says of them: `bos_token_id`, `eos_token_id`.

    Raises:
        ConfigError: if it is of a kind that Mynah does not read.
        ArtifactError: if it is damaged, or cannot be written.
    """
    kind, pre = str(file.get("tokenizer.ggml.model")), str(file.get("tokenizer.ggml.pre", "gpt-2"))
    pieces = kind == "llama"
    if not pieces and (kind != "gpt2" or pre not in CUTS):
        raise ConfigError(
            f"{file.path}: its tokenizer is {kind!r} with pre-tokenizer {pre!r}; Mynah reads 'llama', and 'gpt2' "
            f"with {', '.join(CUTS)} from GGUF; take the model's safetensors instead"
        )
    tokens = list(map(str, file.get("tokenizer.ggml.tokens")))
    kinds = [int(one) for one in file.get("tokenizer.ggml.token_type", [1] * len(tokens))]
    if len(kinds) != len(tokens):
        raise ArtifactError(f"{file.path}: its tokens and their types do not fit together")
    ids = {name: int(file.get(f"tokenizer.ggml.{key}_token_id", -1)) for name, key in _NAMED.items()}
    for name, number in ids.items():
        if number >= len(tokens):
            raise ArtifactError(f"{file.path}: its {name} is id {number} of {len(tokens)} tokens")
    named = {name: tokens[number] for name, number in ids.items() if number >= 0}
    try:
        unknown = named.get("unk_token")
        backend = _of_pieces(file, tokens, kinds, unknown) if pieces else _byte_level(file, tokens, pre)
        _add_tokens(backend, tokens, kinds)
        if "bos_token" in named and file.get("tokenizer.ggml.add_bos_token", pieces or CUTS[pre].begun):
            _begin_with(backend, named["bos_token"], ids["bos_token"])
    except ArtifactError:
        raise
    except Exception as error:  # `tokenizers` raises bare Exceptions
        raise ArtifactError(f"{file.path}: not a tokenizer: {error}") from None
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": context_length,
        **named,
    }
    artifacts.write_text(directory / TOKENIZER, json.dumps(json.loads(backend.to_str()), ensure_ascii=False))
    artifacts.write_json(directory / TOKENIZER_CONFIG, settings)
    known = {f"{name}_id": ids[name] for name in ("bos_token", "eos_token") if ids[name] >= 0}
    template = str(file.get("tokenizer.chat_template", ""))
    if template:
        artifacts.write_text(directory / CHAT_TEMPLATE, template)
    ends = _ends(file, tokens, kinds, template)
    artifacts.write_json(directory / GENERATION_CONFIG, known | ({"eos_token_id": ends} if ends[1:] else {}))
    return known


def _ends(file: GGUFFile, tokens: list[str], kinds: list[int], template: str) -> list[int]:
    """Return the ids that end a reply: of a text's end, of a turn's, and of the turns that the template writes."""
    said = [int(file.get(f"tokenizer.ggml.{key}_token_id", -1)) for key in STOP_KEYS]
    marks = [markers.end for markers in KNOWN if markers.end in template]
    said += [i for i, token in enumerate(tokens) if token in marks and kinds[i] == CONTROL]
    return [i for i in dict.fromkeys(said) if 0 <= i < len(tokens)]


def _byte_level(file: GGUFFile, tokens: list[str], pre: str) -> Backend:
    """Return GPT-2's kind: bytes as characters, merges as the file lists them."""
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    cut = CUTS[pre]
    merges = _listed_merges(file)
    backend = Backend(_bpe(models.BPE, tokens, merges, ignore_merges=cut.ignore_merges))
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut.pattern is None)
    if cut.digits:
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(True), whole])
    elif cut.pattern is not None:
        split = pre_tokenizers.Split(Regex(cut.pattern), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, whole])
    else:
        backend.pre_tokenizer = whole
    if cut.nfc:
        backend.normalizer = normalizers.NFC()
    backend.decoder = decoders.ByteLevel()
    return backend


def _of_pieces(file: GGUFFile, tokens: list[str], kinds: list[int], unknown: str | None) -> Backend:
    """Return SentencePiece's kind (Kudo and Richardson 2018): what has no token is spelled in tokens of its bytes.

    Whether a space goes before a text is what the file says. It goes before the first piece of a text only, as
    `transformers` has it; llama.cpp puts one after each control token too.
    """
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers, pre_tokenizers

    gemma = str(file.get("general.architecture")).startswith("gemma")
    # The files of Gemma have real spaces in tokens that are nothing but spaces.
    tokens = [_SPACE * len(token) if token and not token.strip(" ") else token for token in tokens]
    if "tokenizer.ggml.merges" in file.metadata:
        merges = _listed_merges(file)
    else:
        # Gemma's merges were learned in the order of its tokens, which its scores do not follow everywhere.
        scores = range(0, -len(tokens), -1) if gemma else file.get("tokenizer.ggml.scores")
        if len(scores) != len(tokens):
            raise ArtifactError(f"{file.path}: its tokens and their scores do not fit together")
        merges = merges_of(tokens, kinds, scores)
    backend = Backend(_bpe(models.BPE, tokens, merges, fuse_unk=True, byte_fallback=True, unk_token=unknown))
    steps = [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    if file.get("tokenizer.ggml.add_space_prefix", not gemma):
        backend.pre_tokenizer = pre_tokenizers.Metaspace(_SPACE, prepend_scheme="first", split=False)
        steps.append(decoders.Strip(" ", 1, 0))
    else:
        backend.normalizer = normalizers.Replace(" ", _SPACE)
    backend.decoder = decoders.Sequence(steps)
    return backend


def merges_of(tokens: Sequence[str], kinds: Sequence[int], scores: Sequence[float]) -> list[tuple[str, str]]:
    """Return the merges that a vocabulary of pieces implies, the first to be done first.

    Each way to put a token together from two others is one; the higher its score, the earlier. Of equals that with the
    longer first part goes first, then that with the longer second, as `transformers` has it. Tokens that no text is
    made of (control tokens, bytes, the unknown one) are neither made nor used, as in SentencePiece itself: else people
    who write the name of a control token would get it.

    Args:
        tokens: by id.
        kinds: `tokenizer.ggml.token_type` of each.
        scores: of each.
    """
    apart = (UNKNOWN, CONTROL, BYTE)
    ids = {token: i for i, token in enumerate(tokens) if kinds[i] not in apart}
    found = []
    for whole, i in ids.items():
        score = -float(scores[i])
        ways = [
            (ids[whole[:n]], ids[whole[n:]], n)
            for n in range(1, len(whole))
            if whole[:n] in ids and whole[n:] in ids
        ]
        for left, right, n in sorted(ways):
            found.append((score, -n, n - len(whole), tokens[left], tokens[right]))
    found.sort(key=lambda merge: merge[:3])  # stable: equals stay in the order of ids
    return [merge[3:] for merge in found]


def _listed_merges(file: GGUFFile) -> list[tuple[str, str]]:
    merges = [tuple(str(merge).split(" ", 1)) for merge in file.get("tokenizer.ggml.merges")]
    if any(len(merge) != 2 for merge in merges):
        raise ArtifactError(f"{file.path}: its merges are not of two tokens each")
    return merges  # type: ignore[return-value]


def _bpe(model: Any, tokens: list[str], merges: list[tuple[str, str]], **how: Any) -> Model:
    made: Model = model({token: i for i, token in enumerate(tokens)}, merges, **how)
    return made


def _add_tokens(backend: Backend, tokens: list[str], kinds: list[int]) -> None:
    """Name the tokens that are found in text as they are."""
    from tokenizers import AddedToken

    # All of a kind at once: after each call the search for them is built anew.
    for special, of in ((True, (UNKNOWN, CONTROL)), (False, (USER_DEFINED,))):
        added = [
            AddedToken(token, special=special, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind in of and backend.token_to_id(token) is not None
        ]
        (backend.add_special_tokens if special else backend.add_tokens)(added)


def _begin_with(backend: Backend, token: str, number: int) -> None:
    from tokenizers.processors import TemplateProcessing

    backend.post_processor = TemplateProcessing(
        single=[token, "$A"], pair=[token, "$A", token, "$B:1"], special_tokens=[(token, number)]
    )
