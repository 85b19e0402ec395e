"""What a decoder is made of."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from mynah.config import Config

#: Groups of parameters of which a token uses a row, and the head.
_TABLES = {"token embedding", "positions", "value embedding", "pair embedding", "head"}


#: Widths that follow from others where they are left out, or None.
_WORKED_OUT = ("n_kv_head", "head_dim", "ffn_hidden")


class RopeScaling(Config):
    """How rotary wavelengths are stretched, so that a model reads more than it was first trained on."""

    rope_type: Literal["linear", "llama3", "yarn"] = Field(
        description="linear: all alike; llama3, yarn: long wavelengths alone, with a slope between"
    )
    factor: float = Field(ge=1, description="by how much wavelengths are stretched")
    original_context_length: int | None = Field(
        None, ge=1, description="context before it was extended, tokens; of llama3 and yarn"
    )
    low_freq_factor: float = Field(
        1.0, gt=0, description="llama3: what turns less often in the original context is stretched in full"
    )
    high_freq_factor: float = Field(4.0, gt=0, description="llama3: what turns more often stays as it is")
    beta_fast: float = Field(32.0, gt=0, description="yarn: what turns more often stays as it is")
    beta_slow: float = Field(1.0, gt=0, description="yarn: what turns less often is stretched in full")
    truncate: bool = Field(True, description="yarn: the slope begins and ends at whole dimensions")
    attention_factor: float = Field(
        1.0, gt=0, description="yarn: queries and keys are multiplied by it; left out: 0.1 ln(factor) + 1"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Work out YaRN's attention factor (Peng et al. 2023, section 3.4) where it is not given."""
        if not isinstance(values, dict) or values.get("rope_type") != "yarn":
            return values
        factor = values.get("factor")
        if values.get("attention_factor") is None and isinstance(factor, int | float) and factor >= 1:
            return {**values, "attention_factor": 0.1 * math.log(factor) + 1}
        return values

    @model_validator(mode="after")
    def _check(self) -> RopeScaling:
        if self.rope_type != "linear" and self.original_context_length is None:
            raise ValueError(f"rope_type {self.rope_type!r} needs original_context_length")
        if self.low_freq_factor >= self.high_freq_factor:
            raise ValueError(
                f"low_freq_factor {self.low_freq_factor}: expected less than high_freq_factor, {self.high_freq_factor}"
            )
        if self.beta_slow > self.beta_fast:
            raise ValueError(f"beta_slow {self.beta_slow}: expected at most beta_fast, {self.beta_fast}")
        if self.rope_type != "yarn" and self.attention_factor != 1:
            raise ValueError(f"rope_type {self.rope_type!r} has no attention_factor")
        return self


class ModelConfig(Config):
    """Shape and parts of a decoder. A family (GPT-2, Llama, ...) is nothing but values of these fields."""

    vocab_size: int = Field(ge=2, description="number of token ids")
    context_length: int = Field(ge=2, description="longest sequence the model is trained on, tokens")
    n_layer: int = Field(ge=1)
    n_head: int = Field(ge=1)
    n_kv_head: int = Field(0, ge=1, description="heads of keys and values; left out: n_head")
    n_embd: int = Field(ge=1, description="width of the residual stream")
    head_dim: int = Field(0, ge=1, description="width of one head; left out: n_embd / n_head")
    ffn_hidden: int = Field(0, ge=1, description="width inside the MLP; left out: 4 n_embd")
    positions: Literal["learned", "rotary"] = "rotary"
    rope_theta: float = Field(10_000.0, gt=0, description="base of the rotary wavelengths")
    rope_local_theta: float | None = Field(
        None, gt=0, description="that of layers with a window, which are never scaled; None: as the others"
    )
    rope_scaling: RopeScaling | None = Field(None, description="None: wavelengths are as their base says")
    rotary_layers: tuple[bool, ...] = Field(
        (True,), description="whether a layer has rotary positions, or none; repeated over the layers"
    )
    norm: Literal["layer", "rms"] = "rms"
    norm_weight: bool = Field(True, description="norms have learned scales (LayerNorm: shifts too)")
    norm_eps: float = Field(1e-5, gt=0)
    post_norm: bool = Field(False, description="what a block adds to the stream is normalised as well")
    mlp: Literal["gelu", "gelu_tanh", "relu2", "swiglu", "geglu_tanh"] = "gelu_tanh"
    bias: bool = Field(False, description="linear layers of the blocks have biases")
    qkv_bias: bool | None = Field(None, description="those of queries, keys and values; None: as the others")
    qk_norm: bool = Field(False, description="queries and keys are RMS-normalised, head by head")
    query_pre_attn_scalar: float | None = Field(
        None, gt=0, description="attention scores are divided by its square root; None: head_dim"
    )
    tie_embeddings: bool = Field(True, description="the output head is the token embedding")
    scale_embeddings: bool = Field(False, description="token embeddings are multiplied by sqrt(n_embd)")
    windows: tuple[int, ...] = Field(
        (0,), description="attention window of each layer, repeated over the layers; 0 sees all"
    )
    logit_softcap: float = Field(0.0, ge=0, description="logits become c * tanh(logits / c); 0: off")
    value_embeddings: bool = Field(
        False, description="a second token embedding is added to the values of every other layer"
    )
    bigram_buckets: int = Field(
        0, ge=0, description="rows of a hashed table for pairs of tokens, added to the stream; 0: none"
    )
    prior: bool = Field(
        False, description="logits are added to the log-probabilities of another model, with a learned gate"
    )
    dropout: float = Field(0.0, ge=0, lt=1)
    init: Literal["gpt2", "zero_out"] = Field(
        "gpt2", description="gpt2: normal(0.02), outputs / sqrt(2 n_layer); zero_out: see init_weights"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Work out the widths that are not given from those that are."""
        if not isinstance(values, dict):
            return values
        given = {
            name: value for name, value in values.items() if value is not None or name not in _WORKED_OUT
        }
        n_head, n_embd = given.get("n_head"), given.get("n_embd")
        if isinstance(n_head, int) and n_head > 0:
            given.setdefault("n_kv_head", n_head)
            if isinstance(n_embd, int) and "head_dim" not in given:
                if n_embd % n_head:
                    raise ValueError(f"n_head {n_head} does not divide n_embd {n_embd}")
                given["head_dim"] = n_embd // n_head
        if isinstance(n_embd, int):
            given.setdefault("ffn_hidden", 4 * n_embd)
        return given

    @model_validator(mode="after")
    def _check(self) -> ModelConfig:
        if self.n_head % self.n_kv_head:
            raise ValueError(f"n_kv_head {self.n_kv_head} does not divide n_head {self.n_head}")
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(f"rotary positions need an even head_dim, found {self.head_dim}")
        if any(window < 0 for window in self.windows) or not self.windows:
            raise ValueError("windows: expected one or more numbers of tokens, 0 for all")
        if not self.rotary_layers:
            raise ValueError("rotary_layers: expected true or false, once or more")
        if self.positions != "rotary":
            unused = {"rope_local_theta": None, "rope_scaling": None, "rotary_layers": (True,)}
            for name, usual in unused.items():
                if getattr(self, name) != usual:
                    raise ValueError(f"{name}: only with positions 'rotary', found {self.positions!r}")
        return self

    @property
    def gated(self) -> bool:
        """Whether hidden units of the MLP are multiplied by gates, which are a third matrix."""
        return self.mlp in ("swiglu", "geglu_tanh")

    @property
    def score_divisor(self) -> float:
        """What the square root of divides attention scores."""
        return self.head_dim if self.query_pre_attn_scalar is None else self.query_pre_attn_scalar

    @property
    def bias_of_qkv(self) -> bool:
        """Whether queries, keys and values have biases."""
        return self.bias if self.qkv_bias is None else self.qkv_bias

    def window(self, layer: int) -> int:
        """Attention window of a layer in tokens, 0 for all."""
        return self.windows[layer % len(self.windows)]

    @property
    def layer_windows(self) -> tuple[int, ...]:
        """Attention windows of all layers."""
        return tuple(self.window(layer) for layer in range(self.n_layer))

    @property
    def layers_rotary(self) -> tuple[bool, ...]:
        """Whether they have rotary positions, of all layers."""
        return tuple(self.rotary_layers[i % len(self.rotary_layers)] for i in range(self.n_layer))

    def n_params_by_group(self) -> dict[str, int]:
        """Number of parameters of each part, by the formula (a test holds it against the built model)."""
        width, head = self.n_embd, self.head_dim
        queries, keys = self.n_head * head, self.n_kv_head * head
        matrices = 3 if self.gated else 2
        attention = width * (queries + 2 * keys) + queries * width
        attention += (queries + 2 * keys) * self.bias_of_qkv + width * self.bias
        attention += 2 * head * (self.qk_norm and self.norm_weight)
        mlp = matrices * width * self.ffn_hidden + ((matrices - 1) * self.ffn_hidden + width) * self.bias
        norm = width * (1 + (self.norm == "layer")) * self.norm_weight
        mixed = self.n_layer // 2 if self.value_embeddings else 0  # layers that a value embedding is added in
        return {
            "token embedding": self.vocab_size * width,
            "positions": self.context_length * width * (self.positions == "learned"),
            "value embedding": self.vocab_size * keys * self.value_embeddings,
            "pair embedding": self.bigram_buckets * width,
            "attention": self.n_layer * attention + mixed * self.n_kv_head,
            "mlp": self.n_layer * mlp,
            "norms": ((4 if self.post_norm else 2) * self.n_layer + 1) * norm,
            "pair scales": self.n_layer * (self.bigram_buckets > 0),
            "prior gate": (width + 1) * self.prior,
            "head": 0 if self.tie_embeddings else self.vocab_size * width,
        }

    def n_params(self, *, embeddings: bool = True) -> int:
        """Number of parameters; without `embeddings`, of what is neither looked up by token or place nor the head."""
        groups = self.n_params_by_group()
        if not embeddings:
            groups = {name: n for name, n in groups.items() if name not in _TABLES}
        return sum(groups.values())
