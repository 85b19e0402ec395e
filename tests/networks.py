"""Small networks that more than one test package uses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mynah.model.config import ModelConfig
from mynah.model.lora import LoRAConfig, adapted, add_adapter
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model

SMALL = {
    "vocab_size": 50, "context_length": 32, "n_layer": 3, "n_head": 4, "n_kv_head": 2, "n_embd": 32,
}  # fmt: skip
#: Every part of a network in one or another.
PARTS = [
    {"positions": "learned", "norm": "layer", "bias": True},
    {"positions": "learned", "norm": "layer", "bias": True, "windows": (0, 5)},
    {"mlp": "swiglu", "norm": "rms"},
    {"mlp": "relu2", "norm_weight": False, "qk_norm": True, "tie_embeddings": False,
     "value_embeddings": True, "bigram_buckets": 64, "logit_softcap": 20.0, "init": "zero_out"},
    {"qk_norm": True, "windows": (4, 0)},
    {"mlp": "geglu_tanh", "post_norm": True, "scale_embeddings": True, "qk_norm": True, "windows": (5, 5, 0),
     "rope_local_theta": 100.0, "query_pre_attn_scalar": 20.0},
    {"qkv_bias": True, "rotary_layers": (True, False), "rope_scaling":
     {"rope_type": "yarn", "factor": 4.0, "original_context_length": 8}},
]  # fmt: skip

#: Shapes of adapters.
ADAPTERS: list[dict[str, Any]] = [
    {"rank": 3, "alpha": 6.0},
    {"rank": 2, "alpha": 4.0, "layers": 0.4, "targets": ("qkv", "down")},
    {"rank": 3, "alpha": 6.0, "dora": True, "layers": 1.0},
]


#: For a process: without units for bfloat16. With them Muon's `coarse_products` are in it, and what is the same but for
#: the order of sums is no longer equal to many digits.
EXACT = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}


def small(**changes: object) -> Transformer:
    return shaken(new_model(ModelConfig(**{**SMALL, **changes}), 0).eval())  # type: ignore[arg-type]


def shaken(model: Transformer, by: float = 0.05) -> Transformer:
    """Change all weights a little: zero-initialised projections would hide every mistake."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(by * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    return model


def with_adapter(seed: int, shape: dict[str, Any], **parts: Any) -> Transformer:
    """Return the small network with an adapter that has learned something."""
    model = small(**parts)
    add_adapter(model, LoRAConfig(**shape), seed)
    with torch.no_grad():
        for module in adapted(model).values():
            for parameter in (module.lora_b, module.lora_magnitude):
                if parameter is not None:
                    noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
                    parameter.add_(0.3 * noise)
    return model.eval()


def whole(model: Transformer, tokens: list[int]) -> Tensor:
    """Return the (V,) logits after the last token of a row, of a pass over all of it; of the prior too, if any."""
    with torch.no_grad():
        hidden = model(torch.tensor([tokens]))[0, -1]
        given = None
        if model.prior is not None:
            given = torch.from_numpy(model.prior.log_probs(model.prior.contexts(tokens)[:, -1:]))[0]
        return model.logits(hidden, given).float()
