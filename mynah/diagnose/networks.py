"""What is wrong with a network: units that answer to nothing, replies without end, knowledge that was lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mynah.diagnose.findings import Finding
from mynah.generate.chat import chat_request
from mynah.generate.engine import generate_all, room_for
from mynah.generate.settings import SamplingConfig
from mynah.model.transformer import Block, Transformer
from mynah.tokenizer.dataset import TokenSet
from mynah.tokenizer.tokenizer import Tokenizer

#: Tokens that units are watched on, and the share of them that may be dead.
_WATCHED, _DEAD = 4096, 0.2
#: A unit is dead if it never reaches this share of what units of its block reach on average.
_NEVER = 1e-3
#: Share of replies that may run on: three times as long as the longest that are asked for, in tokens.
_RUN_ON, _SHORT = 0.4, 48
#: Prompts that are asked, and the share of them that may get the same reply.
_TRIED, _SAME = 8, 0.5
#: A general text may take so much more after fine-tuning.
_FORGOTTEN = 0.1


@torch.inference_mode()
def dead_units(model: Transformer, data: TokenSet) -> Finding | None:
    """Find hidden units of MLPs that no token moves."""
    rows = data.tokens[:_WATCHED].astype(np.int64)
    width = min(model.config.context_length, 256)
    rows = rows[: len(rows) // width * width].reshape(-1, width) if len(rows) >= width else rows[None]
    if rows.size < 256 or model.prior is not None:
        return None
    highest: list[Tensor] = []
    blocks = [block for block in model.blocks if isinstance(block, Block)]

    def watch(_: Any, given: tuple[Tensor]) -> None:
        highest.append(given[0].abs().flatten(0, -2).amax(0).float())

    hooks = [block.mlp.down.register_forward_pre_hook(watch) for block in blocks]
    try:
        model(torch.from_numpy(rows).to(model.device))
    finally:
        for hook in hooks:
            hook.remove()
    shares = [float((one <= _NEVER * one.mean()).float().mean()) for one in highest]
    share = sum(shares) / len(shares)
    if share < _DEAD:
        return None
    return Finding(
        "dead_units", {"share": share, "tokens": f"{rows.size:,}", "block": int(np.argmax(shares)) + 1}
    )


def badly_spoken(
    model: Transformer, tokenizer: Tokenizer, asked: Sequence[tuple[Sequence[Any], str]]
) -> list[Finding]:
    """Ask for replies; see whether they end, and whether they are more than one. Only short ones are asked for.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
        asked: histories, and what was replied.
    """
    short = [(one, len(tokenizer.encode(one[1]))) for one in asked]
    short = [(one, length) for one, length in short if length <= _SHORT][:_TRIED]
    if len(short) < 4:
        return []
    config = SamplingConfig(max_tokens=3 * _SHORT)
    requests = [chat_request(model, tokenizer, history, config, cut=True)[0] for (history, _), _ in short]
    replies = generate_all(model, requests)
    run_on = sum(len(ids) >= room_for(model, one) for ids, one in zip(replies, requests, strict=True))
    same = max(Counter(map(tuple, replies)).values())
    usual = max(Counter(reply for (_, reply), _ in short).values())
    found = []
    if run_on >= _RUN_ON * len(short):
        lengths = int(np.median([length for _, length in short]))
        found.append(Finding("does_not_stop", {"count": run_on, "asked": len(short), "usual": lengths}))
    if same >= _SAME * len(short) and same > usual:
        found.append(Finding("same_reply", {"count": same, "asked": len(short)}))
    return found


def forgetting(general: Mapping[str, Any] | None, rate: float, phase: str = "tune") -> Finding | None:
    """Find what fine-tuning has cost of what an open base knew, as the evaluation of a run has it."""
    if not general or not general.get("before"):
        return None
    before, after = float(general["before"]), float(general["after"])
    more = after / before - 1
    if more < _FORGOTTEN:
        return None
    return Finding(
        "forgetting", {"before": before, "after": after, "more": more, "half": rate / 2, "phase": phase}
    )
