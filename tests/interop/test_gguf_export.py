"""GGUF files that Mynah writes: read by transformers and by Mynah as the model that was written, or not written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_gguf import CHATML, SPECIAL, vocabulary

from mynah.data.records import Message
from mynah.errors import ArtifactError, ConfigError
from mynah.interop import gguf_write, parity
from mynah.interop.bases import add_base
from mynah.interop.gguf_file import gguf_to_hugging_face
from mynah.interop.gguf_names import CUTS
from mynah.interop.gguf_reader import GGUFFile
from mynah.interop.gguf_write import LIMITS, to_gguf
from mynah.interop.huggingface import from_hugging_face, to_hugging_face
from mynah.model.presets import preset
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.pipeline.open_run import open_run
from mynah.tokenizer.tokenizer import Tokenizer

pytest.importorskip("gguf")

LLAMA = {
    "positions": "rotary", "norm": "rms", "mlp": "swiglu", "tie_embeddings": False, "bias": False,
    "n_kv_head": 2, "rope_theta": 500.0, "norm_eps": 1e-6,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "llama-tied": {**LLAMA, "tie_embeddings": True, "head_dim": 20},
    "qwen2": {**LLAMA, "qkv_bias": True},
    # transformers takes the width of a Qwen3's heads for 128, whatever its GGUF says.
    "qwen3": {**LLAMA, "qk_norm": True, "head_dim": 128, "tie_embeddings": True},
    "smollm3": {**LLAMA, "n_layer": 4, "rotary_layers": (True, True, True, False)},
    # and a GPT-2's positions for 1024.
    "gpt2": {"context_length": 1024},
    "gpt2-untied": {"context_length": 1024, "tie_embeddings": False},
}
TALK = [Message("user", "Where is  order 12345?\n"), Message("assistant", "late"), Message("user", "ok 你好")]


def bpe(folder: Path, **changes: Any) -> Tokenizer:
    """Return a small tokenizer of somebody else's, cut as GPT-2's is."""
    import json

    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, normalizers, pre_tokenizers

    tokens, merges = vocabulary()
    pairs: Any = [tuple(merge.split(" ")) for merge in merges]
    ids = {token: i for i, token in enumerate(tokens)}
    backend = Backend(models.BPE(ids, pairs, ignore_merges=changes.get("whole", False)))
    backend.pre_tokenizer = changes.get("cut", pre_tokenizers.ByteLevel(add_prefix_space=False))
    if changes.get("composed"):
        backend.normalizer = normalizers.NFC()
    if changes.get("lower"):
        backend.normalizer = normalizers.Lowercase()
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(SPECIAL)
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    said = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**said, "chat_template": CHATML}), "utf-8")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0]}), "utf-8")
    return Tokenizer.load(folder)


def random_model(tokenizer: Tokenizer, values: dict[str, Any], rows: int = 0) -> Transformer:
    """Return a model whose logits every part of it has a say in."""
    shape = {"n_layer": 2, "n_head": 4, "n_embd": 64, "context_length": 64}
    model = new_model(preset("gpt2", rows or tokenizer.vocab_size, **{**shape, **values}), seed=1)
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def read_back(path: Path, folder: Path) -> tuple[Transformer, Tokenizer]:
    folder.mkdir()
    gguf_to_hugging_face(path, folder)
    return from_hugging_face(folder)


@pytest.mark.parametrize("quant", ["f32", "f16", "q8_0"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_model_that_was_written(tmp_path: Path, family: str, quant: Any) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = bpe(tmp_path / "bpe")
    model = random_model(tokenizer, FAMILIES[family], rows=340)  # some rows have no token
    ids = torch.tensor([tokenizer.template.prompt(TALK)])
    with torch.no_grad():
        before = model.logits(model(ids))
    to_gguf(model, tokenizer, tmp_path / "x.gguf", quant=quant)
    ours, read = read_back(tmp_path / "x.gguf", tmp_path / "hf")
    assert read.template.prompt(TALK) == ids[0].tolist()
    assert (read.template.stop_ids, read.control) == (tokenizer.template.stop_ids, tokenizer.control)
    with torch.no_grad():
        after = ours.logits(ours(ids))
        error, _ = parity.distance([before[0]], [after[0]])
        assert error <= LIMITS[quant].error
        if family == "smollm3":
            return  # transformers reads none from GGUF without its own tables of it
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path, gguf_file="x.gguf", dtype=torch.float32
        ).eval()
        close = 1e-4 * float(after.abs().max())
        torch.testing.assert_close(after, theirs(ids).logits, rtol=0, atol=close)
    cutter = transformers.AutoTokenizer.from_pretrained(tmp_path, gguf_file="x.gguf")
    dicts = [{"role": m.role, "content": m.content} for m in TALK]
    assert list(cutter.apply_chat_template(dicts, add_generation_prompt=True)["input_ids"]) == ids[0].tolist()


@pytest.mark.parametrize("talks", [True, False])
def test_a_model_of_mynahs_own_comes_back_whole(tmp_path: Path, talks: bool) -> None:
    tokenizer = Tokenizer.train(["Where is order 12345? It's late. 你好"] * 4, 320)
    model = random_model(tokenizer, {})
    beside = to_gguf(model, tokenizer, tmp_path / "own.gguf", quant="f32", talks=talks)
    again, read = read_back(tmp_path / "own.gguf", tmp_path / "hf")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)
    assert read.template.prompt(TALK) == tokenizer.template.prompt(TALK)
    assert read.begin("It's 12345") == tokenizer.begin("It's 12345")
    assert read.brings_template is talks
    text = beside.read_text(encoding="utf-8")
    assert "FROM ./own.gguf\n" in text
    if not talks:
        assert "TEMPLATE" not in text
        return
    assert text.endswith(
        'TEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}<|system|>{{ .Content }}<|end|>'
        '{{ else if eq .Role "user" }}<|user|>{{ .Content }}<|end|>'
        '{{ else if eq .Role "assistant" }}<|assistant|>{{ .Content }}<|end|>{{ end }}{{ end }}<|assistant|>"""\n'
        'PARAMETER stop "<|end|>"\n'
    )


def test_what_the_modelfile_says(tmp_path: Path) -> None:
    tokenizer = bpe(tmp_path / "bpe")
    assert tokenizer.foreign is not None
    template = tokenizer.jinja()
    assert template is not None

    def said(jinja: str, name: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        tokenizer.save(folder)
        (folder / "chat_template.jinja").write_text(jinja, "utf-8")
        changed = Tokenizer.load(folder)
        return to_gguf(random_model(changed, {}), changed, tmp_path / f"{name}.gguf").read_text("utf-8")

    plain = said(template, "plain")
    assert "<|im_start|>user\n{{ .Content }}<|im_end|>\n" in plain
    assert plain.endswith('PARAMETER stop "<|endoftext|>"\nPARAMETER stop "<|im_end|>"\n')
    assert "SYSTEM" not in plain
    default = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    assert 'SYSTEM """Be kind."""' in said(default + template, "default")
    empty = said(default.replace("Be kind.", "") + template, "empty")
    assert "SYSTEM" not in empty
    assert (
        'TEMPLATE """{{ if ne (index .Messages 0).Role "system" }}<|im_start|>system\n<|im_end|>\n{{ end }}'
        "{{ range .Messages }}" in empty
    )
    for name, jinja in (
        ("trims", template.replace("message['content']", "message['content'] | trim")),
        ("last", template.replace("'<|im_end|>", "('!' if loop.last else '') + '<|im_end|>")),
        ("braces", template.replace("<|im_start|>", "{{")),
    ):
        assert "TEMPLATE" not in said(jinja, name)


def test_what_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = bpe(tmp_path / "bpe")
    out = tmp_path / "out"
    out.mkdir()

    def stopped(match: str, quant: Any) -> None:
        with pytest.raises(ArtifactError, match=match) as caught:
            to_gguf(random_model(tokenizer, LLAMA), tokenizer, out / "x.gguf", quant=quant)
        assert "\n" not in str(caught.value)
        assert list(out.iterdir()) == []

    for quant in ("f32", "f16", "q8_0"):
        with monkeypatch.context() as patch:
            patch.setattr(gguf_write, "to_pairs", lambda rows, heads: rows)
            stopped("nothing is written: logits of the files are off", quant)
    with monkeypatch.context() as patch:
        patch.setattr(gguf_write, "_pre_of", lambda data: "smollm")
        stopped("nothing is written: the tokens of a text", "f32")
    with monkeypatch.context() as patch:
        patch.setattr(gguf_write, "STOP_KEYS", ("eos", "eot_of_none"))
        stopped("nothing is written: stop tokens", "f32")
    for fault in ("0.5", "nan"):
        with monkeypatch.context() as patch:
            original = parity.fill_from_foreign

            def spoil(model: Transformer, *rest: Any, by: str = fault, original: Any = original) -> None:
                original(model, *rest)
                with torch.no_grad():
                    model.norm.weight[0] += float(by)

            patch.setattr(parity, "fill_from_foreign", spoil)
            stopped("nothing is written: logits", "f32")
            with pytest.raises(ArtifactError, match="nothing is written: logits"):
                to_hugging_face(random_model(tokenizer, LLAMA), tokenizer, out / "hf")
            assert list(out.iterdir()) == []
    to_gguf(random_model(tokenizer, LLAMA), tokenizer, out / "x.gguf")
    assert sorted(path.name for path in out.iterdir()) == ["x.Modelfile", "x.gguf"]


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({**LLAMA, "windows": (8,)}, "attention windows"),
        ({**LLAMA, "rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "scaled rotary positions"),
        ({"mlp": "gelu"}, "the exact GELU"),
        ({"qkv_bias": False, "windows": (0, 8)}, "no GGUF of a gpt_neo; it does of llama, qwen2"),
    ],
)
def test_what_cannot_be_said_is_refused(tmp_path: Path, values: dict[str, Any], match: str) -> None:
    tokenizer = bpe(tmp_path / "bpe")
    with pytest.raises(ConfigError, match=match):
        to_gguf(random_model(tokenizer, values), tokenizer, tmp_path / "x.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["bpe"]


@pytest.mark.parametrize("pre", CUTS)
def test_how_text_is_cut_has_a_name(tmp_path: Path, pre: str) -> None:
    from tokenizers import Regex, pre_tokenizers

    cut = CUTS[pre]
    bytes_alone = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut.pattern is None)
    steps: list[Any] = [bytes_alone]
    if cut.digits:
        steps.insert(0, pre_tokenizers.Digits(True))
    if cut.pattern is not None:
        steps.insert(0, pre_tokenizers.Split(Regex(cut.pattern), "isolated"))
    tokenizer = bpe(
        tmp_path / "bpe", cut=pre_tokenizers.Sequence(steps), whole=cut.ignore_merges, composed=cut.nfc
    )
    to_gguf(random_model(tokenizer, LLAMA), tokenizer, tmp_path / "x.gguf")
    assert GGUFFile(tmp_path / "x.gguf").get("tokenizer.ggml.pre") == pre


def test_tokenizers_without_a_name_are_refused(tmp_path: Path) -> None:
    from tokenizers import pre_tokenizers

    for number, changes in enumerate(
        ({"lower": True}, {"cut": pre_tokenizers.Sequence([pre_tokenizers.Whitespace()])})
    ):
        tokenizer = bpe(tmp_path / str(number), **changes)
        with pytest.raises(ConfigError, match="no byte-level BPE that Mynah knows"):
            to_gguf(random_model(tokenizer, {}), tokenizer, tmp_path / "x.gguf")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    tokenizer = bpe(tmp_path / "bpe")
    for name in ("x.gguf", "y.Modelfile"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(ArtifactError, match="is there already"):
            to_gguf(random_model(tokenizer, {}), tokenizer, (tmp_path / name).with_suffix(".gguf"))
        assert (tmp_path / name).read_text() == "mine"


def test_the_real_smollm2_goes_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path))
    try:
        add_base("smollm2")
    except ArtifactError as error:
        pytest.skip(f"SmolLM2 cannot be had here: {error}")
    run = open_run("smollm2", "cpu", torch.float32)
    ids = torch.tensor([run.tokenizer.template.prompt(TALK)])
    with torch.no_grad():
        before = run.model.logits(run.model(ids))
    text = to_gguf(run.model, run.tokenizer, tmp_path / "x.gguf", quant="f16").read_text("utf-8")
    assert 'SYSTEM """You are a helpful AI assistant named SmolLM, trained by Hugging Face"""' in text
    with torch.no_grad():  # the model has the file's numbers now
        after = run.model.logits(run.model(ids))
    assert not torch.equal(after, before)
    assert torch.equal(after.argmax(-1), before.argmax(-1))
