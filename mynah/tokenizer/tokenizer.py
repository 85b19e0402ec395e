"""Byte-level BPE with control tokens that text can never become."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mynah import artifacts
from mynah.config import Config
from mynah.errors import ArtifactError, DataError
from mynah.tokenizer.control import without_forged
from mynah.tokenizer.foreign import (
    PLAIN_TEMPLATE,
    TOKENIZER,
    TOKENIZER_CONFIG,
    Foreign,
    read_foreign,
    read_template,
)
from mynah.tokenizer.jinja import JinjaTemplate, TemplateSource
from mynah.tokenizer.markers import markers_among
from mynah.tokenizer.template import (
    ASSISTANT,
    BOS,
    CONTROL_TOKENS,
    END,
    SYSTEM,
    USER,
    ChatTemplate,
    ControlIds,
    ControlTemplate,
    SpecialIds,
    jinja_template,
)

if TYPE_CHECKING:
    import tokenizers

#: Cuts text before merges are learned: English contractions, runs of letters (Han too) with one leading
#: non-letter, digits in threes at most, runs of punctuation, line ends, spaces. The idea is GPT-4's.
PRE_TOKENIZE = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SMALLEST, LARGEST = 512, 32768


class TokenizerConfig(Config):
    """How the tokenizer is trained."""

    vocab_size: int | None = Field(
        None, ge=300, le=1 << 20, description="number of tokens; from the amount of text if not given"
    )


def choose_vocab_size(text_bytes: int) -> int:
    """Return a power of two near 3.2 * sqrt(bytes), within 512 and 32,768: 2,048 for 400 kB, 8,192 for 5 MB.

    Larger, and most entries are too rare to be learned; smaller, and words fall into pieces: on a log of
    400 kB, bots with 512, 1,024 and 2,048 entries gave 64, 83 and 91 % right answers (docs/log.md).
    """
    size: int = 2 ** round(math.log2(3.2 * math.sqrt(max(1, text_bytes))))
    return min(LARGEST, max(SMALLEST, size))


class Tokenizer:
    """Text to ids and back, by Mynah's own vocabulary or by that of a model to start from.

    Control tokens have ids of their own that `encode` never returns, whatever the text says: a user
    who types `<|end|>` gets the seven characters spelled out.
    """

    def __init__(self, backend: tokenizers.Tokenizer, bos: str = BOS, foreign: Foreign | None = None) -> None:
        """Wrap a `tokenizers.Tokenizer`.

        Args:
            backend: knows the control tokens, unless it is somebody else's.
            bos: begins every record, of Mynah's own.
            foreign: what came with somebody else's.

        Raises:
            ArtifactError: if a control token is missing.
            DataError: if the foreign template is not Jinja.
        """
        # With this switch added tokens in running text are spelled like any other text.
        backend.encode_special_tokens = True
        self.backend = backend
        self.foreign = foreign
        self.template: ChatTemplate
        if foreign is not None:
            #: the tokens that every tokenizer has; Mynah's own has more
            self.control: SpecialIds = SpecialIds(foreign.bos, foreign.eos)
            #: how conversations become tokens
            self._source = _template_of(foreign, backend)
            self.template = JinjaTemplate(backend, self._source)
            return
        self.bos_token = bos
        ids = []
        for name in (bos, END, USER, ASSISTANT, SYSTEM):
            if (value := backend.token_to_id(name)) is None:
                raise ArtifactError(f"tokenizer.json lacks the control token {name}")
            ids.append(value)
        control = ControlIds(*ids)
        self.control = control
        self._came_with_template = True
        self.template = ControlTemplate(self, control)

    @cached_property
    def longest_token(self) -> int:
        """UTF-8 bytes of the longest text that one token stands for, at least."""
        return max(len(token.encode()) for token in self.backend.get_vocab())

    @property
    def vocab_size(self) -> int:
        """Number of ids, control tokens included."""
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    def begin(self, text: str) -> list[int]:
        """Return the ids of a text that a model is to continue: with what its training put before each, if anything.

        Mynah's own texts, and an empty one, begin with `control.bos`.
        """
        ids = self.encode(text)
        if self.foreign is None or not ids:
            return [self.control.bos, *ids]
        return [*self.foreign.begins, *ids]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; never a control token."""
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Return the ids of many texts, using all cores."""
        return [e.ids for e in self.backend.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; control tokens are left out, bytes cut in two become U+FFFD."""
        return str(self.backend.decode(list(ids), skip_special_tokens=True))

    def stream(self, ids: Iterable[int], prompt: Sequence[int] = ()) -> Iterator[str]:
        """Yield the text of ids piece by piece as they come; half of a character is never shown.

        Args:
            ids: of what is said.
            prompt: of the text that they continue, if they do: some tokenizers drop a space at a text's beginning.
        """
        from tokenizers.decoders import DecodeStream

        stream = DecodeStream(list(prompt), skip_special_tokens=True)
        for token in ids:
            if piece := stream.step(self.backend, token):
                yield piece

    def show(self, token: int) -> str:
        """Return one token as people can read it, control tokens by their name; a piece of a character as U+FFFD."""
        text = self.backend.decode([token], skip_special_tokens=False)
        return str(text).replace("\n", "⏎").replace("\t", "⇥")

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> Tokenizer:
        """Learn byte-level BPE merges (Sennrich et al. 2016) from texts.

        The same texts in the same order give the same tokenizer.

        Raises:
            DataError: if there is no text.
        """
        from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as Backend

        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(PRE_TOKENIZE), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(CONTROL_TOKENS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
            max_token_length=32,
        )
        seen = 0

        def counted() -> Iterator[str]:
            nonlocal seen
            for text in texts:
                seen += len(text)
                yield text

        backend.train_from_iterator(counted(), trainer)
        if seen == 0:
            raise DataError("no text to learn a tokenizer from")
        return cls(backend)

    def save(self, directory: Path, *, talks: bool = True) -> None:
        """Write `tokenizer.json` and its config, which `transformers` reads too; foreign ones as they were.

        Args:
            directory: where.
            talks: whether its model knows what a conversation is; if not, no chat template is written that did not come
                with it.

        Raises:
            ArtifactError: if they cannot be written.
        """
        if self.foreign is not None:  # as it came in
            foreign = self.foreign
            if talks:
                foreign = replace(foreign, template=self._source.text, stops=self._source.stops)
            foreign.save(directory)
            return
        artifacts.write_text(directory / TOKENIZER, self.backend.to_str(pretty=True) + "\n")
        config = self.transformers_config()
        if not talks:
            del config["chat_template"]
        artifacts.write_json(directory / TOKENIZER_CONFIG, config)

    def jinja(self, *, talks: bool = True) -> str | None:
        """Return the chat template that goes with a model for other programs, in Jinja; None: none does.

        Args:
            talks: as in `save`.
        """
        if self.foreign is None:
            return jinja_template(self.special_tokens()) if talks else None
        return self._source.text if talks else self.foreign.template

    def special_tokens(self) -> list[str]:
        """Return the control tokens as they are written, by their ids."""
        added = self.backend.get_added_tokens_decoder()
        return [added[i].content for i in sorted(added) if added[i].special]

    def transformers_config(self) -> dict[str, Any]:
        """Return what `transformers.AutoTokenizer` needs to know beside `tokenizer.json`."""
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": self.bos_token,
            "eos_token": END,
            "pad_token": self.bos_token,
            "chat_template": self.jinja(),
            "clean_up_tokenization_spaces": False,
            # Without it transformers 4 feeds token_type_ids to models that have no such thing.
            "model_input_names": ["input_ids", "attention_mask"],
        }

    @property
    def brings_template(self) -> bool:
        """Whether a chat template came with it: Mynah's own, or that of a model that was taught to talk by it."""
        if self.foreign is None:
            return self._came_with_template
        return self.foreign.template is not None

    @classmethod
    def load(cls, directory: Path) -> Tokenizer:
        """Read what `save` wrote, or the tokenizer of a Hugging Face directory.

        Raises:
            ArtifactError: if a file is missing or is not a tokenizer.
        """
        from tokenizers import Tokenizer as Backend

        path = directory / TOKENIZER
        if not path.is_file():
            raise ArtifactError(
                f"{path}: missing; Mynah reads fast tokenizers (save yours with transformers)"
            )
        try:
            backend = without_forged(Backend.from_file(str(path)))
            begins = tuple(backend.encode("").ids)
            backend.post_processor = None  # Mynah places the control tokens itself
            backend.no_truncation()
            backend.no_padding()
        except Exception as error:  # `tokenizers` raises bare Exceptions for damaged files
            raise ArtifactError(f"{path}: not a tokenizer: {error}") from None
        if any(backend.token_to_id(name) is None for name in (END, USER, ASSISTANT, SYSTEM)):
            foreign = read_foreign(directory, backend.token_to_id, backend.id_to_token)
            return cls(backend, foreign=replace(foreign, begins=begins))
        config = artifacts.read_json(directory / TOKENIZER_CONFIG)
        bos = config.get("bos_token") if isinstance(config, dict) else None
        if not isinstance(bos, str):
            raise ArtifactError(f"{directory / TOKENIZER_CONFIG}: no bos_token")
        own = cls(backend, bos)
        own._came_with_template = read_template(directory, config) == own.jinja()
        return own

    @classmethod
    def open(cls, folder: Path) -> Tokenizer:
        """Open the tokenizer of a run, of a folder that `save` wrote, or of a Hugging Face directory.

        Raises:
            ArtifactError: if there is none in the folder.
        """
        if (folder / "tokenizer" / "tokenizer.json").is_file():
            return cls.load(folder / "tokenizer")
        if (folder / TOKENIZER).is_file():
            return cls.load(folder)
        raise ArtifactError(f"{folder}: no tokenizer in it; expected a run or a Hugging Face directory")


def _template_of(foreign: Foreign, backend: tokenizers.Tokenizer) -> TemplateSource:
    """Return the template that came with a model; without one, that of markers that its vocabulary has, or plain words.

    What its tokenizer puts before every text stands before a conversation too.
    """
    if foreign.template is not None:
        return TemplateSource(foreign.template, foreign.named, foreign.stops)
    control = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}
    begin = "{{ bos_token }}" if foreign.begins == (foreign.bos,) and "bos_token" in foreign.named else ""
    markers = markers_among(control)
    if markers is None:
        return TemplateSource(begin + PLAIN_TEMPLATE, foreign.named, foreign.stops)
    stops = dict.fromkeys((*foreign.stops, backend.token_to_id(markers.end)))
    return TemplateSource(
        begin + markers.template, foreign.named, tuple(stop for stop in stops if stop is not None)
    )
