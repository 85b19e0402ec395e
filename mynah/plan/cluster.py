"""What training on many GPUs takes, by formula, from models that are never allocated.

n parameters, W processes, one GPU each, of which T neighbours share each block.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mynah.errors import ConfigError
from mynah.model.config import ModelConfig
from mynah.model.loss import rows_at_once
from mynah.model.presets import PRESETS, preset
from mynah.model.transformer import Transformer
from mynah.plan.flops import training_flops_per_token
from mynah.train.distributed.replicas import check_shareable
from mynah.train.memory import activation_floats, gathered_bytes

#: Tokens a step in Brown et al. 2020, table 2.1, by width; other makes take the one of the next larger width.
PAPER_BATCH = {
    768: 500_000, 1024: 500_000, 1536: 500_000, 2048: 1_000_000, 2560: 1_000_000, 4096: 2_000_000, 5140: 2_000_000,
    12288: 3_200_000,
}  # fmt: skip
#: Vocabulary of a make, where a preset has to be sized without a tokenizer.
VOCABULARIES = {"llama2": 32_000, "tinyllama": 32_000, "qwen3": 151_936}
GPT2_VOCABULARY = 50_257


@dataclass(frozen=True)
class ClusterNeeds:
    """What one of W GPUs holds, computes and sends in a step; bytes and floating-point operations."""

    preset: str
    n_params: int
    batch_tokens: int
    #: forward and backward passes a step, each of one row
    passes: int
    #: weights, gradients, both of AdamW's numbers and the best weights so far, in float32: this GPU's part
    parts: int
    #: of the blocks that are all-gathered, and of the embedding and the head
    gathered: int
    #: of one row, activations computed again block by block
    activations: int
    #: of the logits of one piece of the loss
    logits: int
    flops: float
    sent: float

    @property
    def memory(self) -> int:
        """All that the GPU holds."""
        return self.parts + self.gathered + self.activations + self.logits


def shape_of(name: str) -> ModelConfig:
    """Return a preset with the vocabulary of its make and contexts of at most 2,048 tokens."""
    config = preset(name, VOCABULARIES.get(name.split("-")[0], GPT2_VOCABULARY))
    return config.model_copy(update={"context_length": min(config.context_length, 2048)})


def cluster_needs(name: str, world: int, tensor: int = 1) -> ClusterNeeds:
    """Return what training a preset takes on each of `world` GPUs, in parts (`sharded`), bfloat16 products.

    Memory: 4 + 4 + 8 bytes a parameter and 4 of the best weights so far, divided by W (ZeRO-3, Rajbhandari et al. 2020,
    section 5), and what is all-gathered (`gathered_bytes`), with a copy of a block's matrices and the head's
    in bfloat16; activations are kept where blocks meet (Chen et al. 2016), in float32, and for one block within
    (`activation_floats`). Sent and received: in each pass the weights of blocks twice, those of embedding and head once
    (they stay together from the first use to the last) and all gradients once, each (G - 1) / G of 4 bytes a parameter
    (Rajbhandari et al. 2020, section 7, for a ring of the G = W / T GPUs that hold the same share, Patarasuk & Yuan
    2009). With T > 1, the stream of all tokens of a group is summed over its T GPUs twice a block forward, once when
    that is computed again (nothing needs the last sum) and twice backward (Shoeybi et al. 2019, section 3), of two
    bytes a number forward and four backward, each 2 (T - 1) / T of its bytes. FLOPs: `training_flops_per_token`, and a
    third more of the blocks', which are computed again; of embedding and head, which are not shared, each of the T
    computes all.
    """
    config = shape_of(name)
    with torch.device("meta"):
        model = Transformer(config)
    n = sum(p.numel() for p in model.parameters())
    a_block = sum(p.numel() for p in model.blocks[0].parameters())
    rest = n - sum(p.numel() for p in model.blocks.parameters())
    wider = [width for width in PAPER_BATCH if width >= config.n_embd]
    batch = PAPER_BATCH[min(wider, default=max(PAPER_BATCH))]
    tokens = config.context_length
    kept = 4 * config.n_layer * config.n_embd + 2 * activation_floats(config, tokens, tensor)
    groups = world // tensor
    passes = -(-batch // (groups * tokens))
    held = rest + (n - rest) // tensor
    sums = (3 * 2 + 2 * 4) * config.n_layer * 2 * (tensor - 1) / tensor
    head = config.vocab_size * config.n_embd
    flops = training_flops_per_token(config, tokens)
    again = (flops - 6 * head) / 3
    halves = 2 * (a_block // tensor + head)
    return ClusterNeeds(
        name, n, batch, passes,
        parts=20 * held // groups,
        gathered=halves + (gathered_bytes(rest, a_block // tensor) if groups > 1 else 0),
        activations=int(tokens * kept),
        logits=3 * 4 * min(tokens, rows_at_once(config.vocab_size, "cuda")) * config.vocab_size,
        flops=(flops + again + 6 * head * (tensor - 1)) * batch / world,
        sent=passes * 4 * (3 * held - rest) * (groups - 1) / groups + sums * config.n_embd * batch / groups,
    )  # fmt: skip


def describe_cluster(world: int, tensor: int = 1, memory_gb: float = 80.0) -> str:
    """Return a table of all presets, smallest first.

    Raises:
        ConfigError: if `tensor` does not divide `world`.
    """
    names, cannot = list(PRESETS), []
    for name in PRESETS:
        try:
            check_shareable(shape_of(name), tensor, world)
        except ConfigError:
            if world % tensor:
                raise
            names.remove(name)
            cannot.append(name)
    found = sorted((cluster_needs(name, world, tensor) for name in names), key=lambda needs: needs.n_params)
    shared = f", each block shared by {tensor}" if tensor > 1 else ""
    lines = [
        f"{world} GPUs, sharded (FSDP2){shared}, weights float32, products bfloat16, blocks computed again, "
        "one row of at most 2,048 tokens a pass; each figure is for one GPU and one step",
        f"{'preset':<16} {'parameters':>16} {'batch, tokens':>14} {'passes':>7} {'parts, GB':>10} {'gathered':>9} "
        f"{'activations':>12} {'in all, GB':>11} {'PFLOP':>9} {'sent, GB':>9}",
    ]
    for needs in found:
        gb = [x / 1e9 for x in (needs.parts, needs.gathered, needs.activations + needs.logits, needs.memory)]
        fits = "" if gb[3] <= memory_gb else f"  more than {memory_gb:.0f} GB"
        lines.append(
            f"{needs.preset:<16} {needs.n_params:>16,} {needs.batch_tokens:>14,} {needs.passes:>7,} "
            f"{gb[0]:>10.2f} {gb[1]:>9.2f} {gb[2]:>12.2f} {gb[3]:>11.2f} {needs.flops / 1e15:>9.3f} "
            f"{needs.sent / 1e9:>9,.0f}{fits}"
        )
    if cannot:
        lines.append(
            f"cannot be shared by {tensor} (heads, hidden units, value embeddings): {', '.join(cannot)}"
        )
    lines.append(
        "parts: 16 bytes a parameter over all GPUs (Rajbhandari et al. 2020, section 5), 4 for the best weights; "
        "activations: where blocks meet and within one (Chen et al. 2016; Korthikanti et al. 2022, section 4.1); "
        "sent: in each pass weights of blocks twice, of embedding and head once, gradients once (section 7), so that "
        "more rows a pass send less and hold more"
        + (", five sums of the stream a block (Shoeybi et al. 2019, section 3)" if tensor > 1 else "")
        + "; FLOPs: Kaplan et al. 2020, section 2.1, and a third of the blocks', "
        "which are computed again"
    )
    return "\n".join(lines)
