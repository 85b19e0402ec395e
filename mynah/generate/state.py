"""What a model has decoded so far: rows of any lengths side by side, which come, go, are copied and taken back.

Continuous batching adds rows and drops those that are done; beam search copies rows; the next turn of a chat goes on
from what is cached of the last one. All of it is here, and nothing of it in the model: two threads may decode with one
model, each with a state of its own.

B rows, T new tokens, S tokens so far of the longest row, G key/value heads, D width of a head, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mynah.errors import ConfigError
from mynah.model.loss import rows_at_once
from mynah.model.multi_lora import adapters_of_rows
from mynah.model.transformer import Transformer

#: Room for tokens is taken in steps of so many.
_STEP = 128
#: Tokens of a prompt that are read at once where others wait.
CHUNK = 256


@dataclass(frozen=True)
class KeptRow:
    """A row that was copied out of a state."""

    tokens: tuple[int, ...]
    #: (L, 2, G, S, D) keys and values
    store: Tensor
    #: which of the model's adapters they are of
    adapter: int = 0

    @property
    def n_bytes(self) -> int:
        """How much memory it takes."""
        return self.store.numel() * self.store.element_size()


class DecodingState:
    """Cached keys and values, tokens and prior of many rows.

    Every method that reads tokens returns the logits after the last token of the rows concerned, float32.
    """

    def __init__(self, model: Transformer) -> None:
        """Begin without rows; the model must be in evaluation mode."""
        self.model = model
        #: of each row, all tokens that were read
        self.tokens: list[list[int]] = []
        #: of each row, which of the model's adapters computes it (`multi_lora`); 0 where there is none
        self._adapters: list[int] = []
        config = model.config
        self.context_length = config.context_length
        self._shape = config.n_layer, 2, config.n_kv_head, config.head_dim
        self._store = torch.zeros(config.n_layer, 2, 0, config.n_kv_head, 0, config.head_dim).to(
            model.device, model.dtype
        )
        # of each row, (K, T): what the prior knows after its last tokens, one or more; None: that is not known
        self._contexts: list[npt.NDArray[Any] | None] = []

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.tokens)

    @property
    def lengths(self) -> list[int]:
        """How many tokens of each row have been read."""
        return list(map(len, self.tokens))

    @torch.inference_mode()
    def add(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Add a row for each prompt behind those that are there; return their (N, V) logits.

        Raises:
            ConfigError: if a prompt is empty or longer than the context.
        """
        begin = len(self.tokens)
        self._check(prompts, [0] * len(prompts))
        self._make_room(begin + len(prompts), max(map(len, prompts), default=0))
        self._adapters += [0] * len(prompts)
        return self._read(begin, prompts)

    @torch.inference_mode()
    def append(self, new: Sequence[Sequence[int]]) -> Tensor:
        """Read one token or more in every row; return (B, V) logits.

        Raises:
            ConfigError: if there is none for a row, or a row grows beyond the context.
        """
        assert len(new) == len(self.tokens)
        self._check(new, self.lengths)
        longest = max((len(row) for row in new), default=0)
        self._make_room(len(new), max(self.lengths, default=0) + longest)
        return self._read(0, new)

    @torch.inference_mode()
    def read(self, new: Sequence[Sequence[int]]) -> list[Tensor]:
        """Read one token or more in every row; return the (T, V) logits after each token of each row.

        Raises:
            ConfigError: as `append`.
        """
        if all(len(row) == 1 for row in new):
            return list(torch.split(self.append(new), 1))
        assert len(new) == len(self.tokens)
        self._check(new, before := self.lengths)
        counts = [len(row) for row in new]
        self._make_room(len(new), max(before) + max(counts))
        hidden = self._hidden(0, new)  # (B, T, C)
        flat = torch.cat([hidden[row, :count] for row, count in enumerate(counts)])
        logits = self.model.logits(flat, self._log_probs_of_all(new)).float()
        return list(torch.split(logits, counts))

    @torch.inference_mode()
    def score(self, logits: Tensor, new: Sequence[Sequence[int]]) -> list[tuple[Tensor, Tensor]]:
        """Return how likely tokens are that every row might go on with, and which of them are the likeliest.

        The state is spent by it: what follows the last tokens is not asked for, so these are not read.

        Args:
            logits: (B, V) after what was read before.
            new: one token or more for each row.

        Returns:
            For each row, (T,) log-probabilities, float32, and (T,) bool, whether no token was likelier.

        Raises:
            ConfigError: as `append`.
        """
        assert len(new) == len(self.tokens) == len(logits)
        self._check(new, [length - 1 for length in self.lengths])  # the last ones are not read
        device = self._store.device
        found = [_judged(logits, [row[0] for row in new])]
        longer = [row for row, tokens in enumerate(new) if len(tokens) > 1]
        where: list[tuple[int, int]] = []
        if longer:
            self.keep(longer)
            read = [new[row][:-1] for row in longer]
            before = self.lengths
            self._make_room(len(read), max(before) + max(map(len, read)))
            hidden = self._hidden(0, read)  # (rows that are longer, T, C)
            where = [(row, at) for row, tokens in enumerate(read) for at in range(len(tokens))]
            for some in range(
                0, len(where), piece := rows_at_once(self.model.config.vocab_size, device.type)
            ):
                places = where[some : some + piece]
                known = self._log_probs_at([(row, before[row] + at) for row, at in places])
                rows, columns = zip(*places, strict=True)
                after = self.model.logits(hidden[list(rows), list(columns)], known).float()  # (n, V)
                found.append(_judged(after, [new[longer[row]][at + 1] for row, at in places]))
        log_probs, hits = (torch.cat(parts) for parts in zip(*found, strict=True))
        # Behind the first tokens of all rows stand the others, row by row.
        later = [len(tokens) - 1 for tokens in new]
        apart = zip(*(torch.split(one[len(new) :], later) for one in (log_probs, hits)), strict=True)
        return [
            (torch.cat((log_probs[row, None], more)), torch.cat((hits[row, None], also)))
            for row, (more, also) in enumerate(apart)
        ]

    @torch.inference_mode()
    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; one that is named twice is copied."""
        if list(rows) == list(range(len(self.tokens))):
            return
        self.tokens = [list(self.tokens[row]) for row in rows]
        self._adapters = [self._adapters[row] for row in rows]
        if len(rows) > self._store.shape[2]:
            self._make_room(len(rows), 0)
        used = max(self.lengths, default=0)
        # Those that stay where they are need no copy; the others are read before any is written.
        moved = [(to, row) for to, row in enumerate(rows) if to != row]
        if moved:
            to, source = map(list, zip(*moved, strict=True))
            self._store[:, :, to, :, :used] = self._store[:, :, source, :, :used]
        self._contexts = [self._contexts[row] for row in rows] if self._contexts else []

    @torch.inference_mode()
    def copy(self, row: int) -> KeptRow:
        """Return a copy of what a row holds, to go on from later."""
        length = len(self.tokens[row])
        store = self._store[:, :, row, :, :length].clone()
        return KeptRow(tuple(self.tokens[row]), store, self._adapters[row])

    def begin_row(self, adapter: int = 0) -> None:
        """Add a row of no tokens behind those that are there; the next thing is to `append` to it.

        Args:
            adapter: which of the model's adapters computes it.
        """
        begin = len(self.tokens)
        self._make_room(begin + 1, 0)
        self.tokens.append([])
        self._adapters.append(adapter)
        self._contexts = [*(self._contexts or [None] * begin), None] if self.model.prior is not None else []

    @torch.inference_mode()
    def restore(self, kept: KeptRow, length: int) -> None:
        """Add a row behind those that are there, of the first `length` tokens that were kept."""
        begin = len(self.tokens)
        self._make_room(begin + 1, length)
        self._store[:, :, begin, :, :length] = kept.store[:, :, :, :length]
        self.tokens.append(list(kept.tokens[:length]))
        self._adapters.append(kept.adapter)
        self._contexts = [*(self._contexts or [None] * begin), None] if self.model.prior is not None else []

    def truncate(self, row: int, length: int) -> None:
        """Take back what was read of a row beyond so many tokens."""
        gone = len(self.tokens[row]) - length
        del self.tokens[row][length:]
        if self._contexts and gone > 0 and (known := self._contexts[row]) is not None:
            self._contexts[row] = known[:, :-gone] if gone < known.shape[1] else None

    def go_on(self, prompt: Sequence[int]) -> Tensor:
        """Make a prompt the only row, reading what the first row does not hold of it yet; return (1, V) logits.

        Raises:
            ConfigError: if the prompt is empty or longer than the context.
        """
        self._check([prompt], [0])
        if not self.tokens:
            return self.add([prompt])
        self.keep([0])
        known = 0
        # One is read in any case, for its logits.
        for mine, wanted in zip(self.tokens[0], prompt[:-1], strict=False):
            if mine != wanted:
                break
            known += 1
        self.truncate(0, known)
        return self.append([prompt[known:]])

    def _check(self, new: Sequence[Sequence[int]], lengths: Sequence[int]) -> None:
        for tokens, length in zip(new, lengths, strict=True):
            if not tokens:
                raise ConfigError("there are no tokens to go on from; expected 1 or more")
            if length + len(tokens) > self.context_length:
                raise ConfigError(
                    f"{length + len(tokens)} tokens do not fit into the model's context of {self.context_length}"
                )

    def _make_room(self, rows: int, length: int) -> None:
        n_layer, two, G, D = self._shape
        had_rows, had_length = self._store.shape[2], self._store.shape[4]
        if rows <= had_rows and length <= had_length:
            return
        # By what there is now, not by the most there has been; some rows more, that they need not come one by one.
        rows = max(rows, len(self.tokens)) + (rows // 4 if rows > had_rows else 0)
        length = max(length, *self.lengths, 1)
        length = max(length, min(self.context_length, -(-length // _STEP) * _STEP))
        store = self._store.new_zeros(n_layer, two, rows, G, length, D)
        some, used = min(rows, had_rows), min(length, had_length)
        store[:, :, :some, :, :used] = self._store[:, :, :some, :, :used]
        self._store = store

    def _read(self, first: int, new: Sequence[Sequence[int]]) -> Tensor:
        """Read the tokens of rows from `first` on; return the logits after the last of each."""
        counts, device = [len(row) for row in new], self._store.device
        if not new:
            return self._store.new_zeros(0, self.model.config.vocab_size, dtype=torch.float32)
        hidden = self._hidden(first, new)
        at_end = hidden[torch.arange(len(new), device=device), torch.tensor(counts, device=device) - 1]
        return self.model.logits(at_end, self._log_probs(first, new)).float()

    def _hidden(self, first: int, new: Sequence[Sequence[int]]) -> Tensor:
        """Read the tokens of rows from `first` on; return (B, T, C), of which a shorter row fills its beginning."""
        T, device = max(map(len, new)), self._store.device
        rows = self.tokens[first:] or [[] for _ in new]
        before = list(map(len, rows))
        last = [row[-1] if row else 0 for row in rows]  # nobody is before a row's first token
        tokens = torch.tensor([[*row, *[0] * (T - len(row))] for row in new], device=device)  # (B, T)
        step = _Step(
            store=self._store[:, :, first : first + len(new)],
            start=torch.tensor(before, device=device),
            T=T,
            S=max(before) + T,
            alike=len(set(before)) == 1,
            previous=torch.cat((torch.tensor(last, device=device)[:, None], tokens[:, :-1]), dim=1),
            context_length=self.context_length,
        )
        with adapters_of_rows(self._adapters[first:]):
            hidden: Tensor = self.model(tokens, past=step)  # (B, T, C)
        for row, added in zip(rows, new, strict=True):
            row += added
        self.tokens[first:] = rows
        return hidden

    def _log_probs(self, first: int, new: Sequence[Sequence[int]]) -> Tensor | None:
        """Return what the prior says after the last token of each row, (B, V), of a model that goes on from one."""
        prior = self.model.prior if self.model.gate is not None else None
        if prior is None:
            return None
        known = [context[:, -1:] for context in self._contexts[first:] if context is not None]
        if len(known) == len(new) and all(len(row) == 1 for row in new):
            after = prior.advance(np.hstack(known), np.array([row[0] for row in new]))
        else:
            after = np.hstack([prior.contexts(np.array(row))[:, -1:] for row in self.tokens[first:]])
        self._contexts[first:] = np.hsplit(after, len(new))
        return torch.from_numpy(prior.log_probs(after)).to(self._store.device)

    def _log_probs_of_all(self, new: Sequence[Sequence[int]]) -> Tensor | None:
        """Return what the prior says after each new token of all rows, one row after another, (n, V)."""
        prior = self.model.prior if self.model.gate is not None else None
        if prior is None:
            return None
        for row, tokens in enumerate(new):
            known = self._contexts[row] if self._contexts else None
            if known is None:
                after = prior.contexts(np.array(self.tokens[row]))[:, -len(tokens) :]
            else:
                columns = [known[:, -1:]]
                for token in tokens:
                    columns.append(prior.advance(columns[-1], np.array([token])))
                after = np.hstack(columns[1:])
            self._contexts[row] = after
        contexts = [context for context in self._contexts if context is not None]
        return torch.from_numpy(prior.log_probs(np.hstack(contexts))).to(self._store.device)

    def _log_probs_at(self, places: Sequence[tuple[int, int]]) -> Tensor | None:
        """Return what the prior says after tokens of rows, (n, V), of a model that goes on from one."""
        prior = self.model.prior if self.model.gate is not None else None
        if prior is None:
            return None
        self._contexts = [None] * len(self.tokens)  # of their last tokens, nothing was asked
        known = {row: prior.contexts(np.array(self.tokens[row])) for row in {row for row, _ in places}}
        after = np.stack([known[row][:, at] for row, at in places], axis=1)
        return torch.from_numpy(prior.log_probs(after)).to(self._store.device)


def _judged(logits: Tensor, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return (n,) log-probabilities of tokens after (n, V) logits, and (n,) whether they are the likeliest."""
    wanted = torch.tensor(tokens, device=logits.device)
    log_probs = logits.gather(1, wanted[:, None])[:, 0] - logits.logsumexp(dim=-1)
    return log_probs, logits.argmax(dim=-1) == wanted


@dataclass
class _Step:
    """One pass over new tokens of all rows, a `Past`; what fills up rows shorter than T is never looked at."""

    #: (L, 2, B, G, room, D)
    store: Tensor
    #: (B,) int64: tokens of each row before these
    start: Tensor
    T: int
    S: int
    #: whether all rows have as many
    alike: bool
    previous: Tensor
    context_length: int

    def __post_init__(self) -> None:
        where = self.start[:, None] + torch.arange(self.T, device=self.start.device)  # (B, T)
        #: of what fills a row up, any that there is
        self.positions = where.clamp(max=self.context_length - 1)
        self._where = where
        self._first = int(self.start[0]) if self.alike else 0

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Add (B, G, T, D) keys and values of a layer; return all of them, (B, G, S, D)."""
        keys, values = self.store[layer, 0], self.store[layer, 1]
        if self.alike:
            keys[:, :, self._first : self.S], values[:, :, self._first : self.S] = key, value
        else:
            B, G = key.shape[:2]
            index = self._where[:, None, :, None].expand(B, G, self.T, key.shape[3])
            keys.scatter_(2, index, key.to(keys.dtype))
            values.scatter_(2, index, value.to(values.dtype))
        return keys[:, :, : self.S], values[:, :, : self.S]

    def mask(self, window: int, dtype: torch.dtype) -> Tensor | None:
        """Return (B, 1, T, S), 0 where a new token may look and -inf elsewhere; None if T = S, or all see all."""
        all_see_all = self.T == 1 and self.alike and not 0 < window < self.S
        if self.T == self.S or all_see_all:
            return None
        key = torch.arange(self.S, device=self.start.device)
        query = self._where[:, :, None]  # (B, T, 1)
        hidden = key > query
        if window:
            hidden |= key <= query - window
        nothing = torch.zeros(hidden.shape, dtype=dtype, device=key.device)
        return nothing.masked_fill_(hidden, float("-inf")).unsqueeze(1)
