"""Encoded records on disk: one flat array of ids, where each record begins, and what the loss counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mynah import artifacts
from mynah.data.records import Conversation, Message, Record, as_conversation
from mynah.errors import ArtifactError
from mynah.tokenizer.tokenizer import Tokenizer

_BATCH = 4096

#: What a token is: part of the layout, text that others say, or what the assistant says (its `<|end|>` too).
LAYOUT, HEARD, SAID = 0, 1, 2


@dataclass(frozen=True)
class TokenSet:
    """Many records as token ids.

    N tokens in R records.
    """

    #: (N,) uint16 or uint32: all records, end to end
    tokens: npt.NDArray[np.unsignedinteger]
    #: (R + 1,) int64: record r is tokens[starts[r]:starts[r + 1]]
    starts: npt.NDArray[np.int64]
    #: (N,) uint8: LAYOUT, HEARD or SAID
    part: npt.NDArray[np.uint8]
    #: (R, 2) int64: UTF-8 bytes of all text of the record, and of its assistant turns
    n_bytes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def reply(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: True where the assistant speaks."""
        return np.equal(self.part, SAID)

    def record(self, index: int) -> npt.NDArray[np.int64]:
        """Return one record's ids, (T,) int64."""
        return self.tokens[self.starts[index] : self.starts[index + 1]].astype(np.int64)

    def record_part(self, index: int) -> npt.NDArray[np.uint8]:
        """Return what one record's tokens are, (T,) uint8."""
        return self.part[self.starts[index] : self.starts[index + 1]]

    def save(self, path: Path) -> None:
        """Write the arrays as one safetensors file.

        Raises:
            ArtifactError: if it cannot be written.
        """
        from safetensors.numpy import save

        arrays = {
            "tokens": self.tokens,
            "starts": self.starts,
            "part": self.part,
            "n_bytes": self.n_bytes,
        }
        artifacts.write_bytes(path, save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))

    @classmethod
    def load(cls, path: Path) -> TokenSet:
        """Read what `save` wrote.

        Raises:
            ArtifactError: if it is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return cls(**load_file(path))
        except FileNotFoundError:
            raise ArtifactError(f"{path}: missing") from None
        except (SafetensorError, TypeError, OSError) as error:
            raise ArtifactError(f"{path}: damaged: {error}") from None


def encode_records(records: Iterable[Record], tokenizer: Tokenizer) -> TokenSet:
    """Encode records, each beginning with the tokenizer's beginning-of-text token.

    A label, a translation and a chosen reply are what an assistant says.
    """
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    tokens: list[npt.NDArray[np.unsignedinteger]] = []
    parts: list[npt.NDArray[np.uint8]] = []
    lengths: list[int] = []
    n_bytes: list[tuple[int, int]] = []
    for batch in _batches(records):
        batch = list(map(as_conversation, batch))
        texts = [text for record in batch for text in record.texts]
        encoded = iter(tokenizer.encode_batch(texts))
        for record in batch:
            if isinstance(record, Conversation):
                ids, part = lay_out(record.messages, [next(encoded) for _ in record.messages], tokenizer)
                said = [len(m.content.encode()) for m in record.messages if m.role == "assistant"]
            else:
                ids = [tokenizer.control.bos, *next(encoded)]
                part, said = [LAYOUT] + [HEARD] * (len(ids) - 1), []
            tokens.append(np.array(ids, dtype=dtype))
            parts.append(np.array(part, dtype=np.uint8))
            lengths.append(len(ids))
            n_bytes.append((sum(len(t.encode()) for t in record.texts), sum(said)))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenSet(
        np.concatenate(tokens) if tokens else np.zeros(0, dtype),
        starts,
        np.concatenate(parts) if parts else np.zeros(0, np.uint8),
        np.array(n_bytes, dtype=np.int64).reshape(-1, 2),
    )


def _batches(records: Iterable[Record]) -> Iterable[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def lay_out(
    messages: Sequence[Message], encoded: Sequence[Sequence[int]], tokenizer: Tokenizer
) -> tuple[list[int], list[int]]:
    """Return a conversation's ids by the chat template, and what each is: LAYOUT, HEARD or SAID."""
    control = tokenizer.control
    roles = {"user": control.user, "assistant": control.assistant, "system": control.system}
    ids, part = [control.bos], [LAYOUT]
    for message, text in zip(messages, encoded, strict=True):
        ids += [roles[message.role], *text, control.end]
        said = message.role == "assistant"
        part += [LAYOUT, *[SAID if said else HEARD] * len(text), SAID if said else LAYOUT]
    return ids, part


def render(messages: Sequence[Message], tokenizer: Tokenizer) -> list[int]:
    """Return a conversation's ids, ready for the assistant's next turn."""
    encoded = [tokenizer.encode(message.content) for message in messages]
    return [*lay_out(messages, encoded, tokenizer)[0], tokenizer.control.assistant]
