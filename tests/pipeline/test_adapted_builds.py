"""A build over a base: an adapter is trained and kept, with the hash of its base, and the base stays as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mynah import build
from mynah.cli.export import export
from mynah.data.records import Message
from mynah.data.store import read_records
from mynah.device import BASE_BYTES, USABLE
from mynah.errors import ArtifactError, ConfigError
from mynah.evaluate.language_model import score_network, summarise
from mynah.interop.gguf_file import gguf_to_hugging_face
from mynah.interop.held import ways
from mynah.interop.huggingface import from_hugging_face, hash_of_directory, read_config, to_hugging_face
from mynah.interop.trained import ABOUT, ADAPTER, open_adapter, read_adapter_of
from mynah.model.lora import LoRAConfig, LoRALinear, adapted, adapter_size, adapters_off
from mynah.model.multi_lora import MultiLoRALinear, adapters_of_rows
from mynah.model.presets import preset
from mynah.model.transformer import Transformer
from mynah.model.weights import new_model
from mynah.pipeline import plan_stage
from mynah.pipeline.open_run import open_run
from mynah.pipeline.open_served import open_served
from mynah.stages import RunPaths
from mynah.tokenizer.dataset import encode_records
from mynah.tokenizer.tokenizer import Tokenizer
from mynah.train.config import TrainConfig
from mynah.train.memory import training_memory
from mynah.train.rates import rates
from mynah.train.trained import TrainedCount

SETTINGS: dict[str, Any] = {
    "plan": {
        "minutes": 1,
        "pretrain": {"steps": 4, "eval_every": 2},
        "tune": {"steps": 6, "eval_every": 3, "learning_rate": 0.01},
    },
    "ngram": {"order": 3},
    "evaluate": {"samples": 2},
    "sampling": {"max_tokens": 8},
    "adapter": {"rank": 4, "alpha": 8},
}


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.csv"
    rows = "".join(f"where is order {i}?,order {i} is on its way to {i % 7}\n" for i in range(120))
    path.write_text(f"question,answer\n{rows}", encoding="utf-8")
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base that talks by Mynah's own template."""
    tokenizer = Tokenizer.train(["where is order 12? it is on its way, and so on"], 320)
    shape: dict[str, Any] = {
        "n_layer": 2,
        "n_embd": 32,
        "n_head": 4,
        "n_kv_head": 2,
        "context_length": 64,
        "ffn_hidden": 64,
    }
    config = preset("tinyllama-1.1b", tokenizer.vocab_size, **shape)
    to_hugging_face(new_model(config, 0), tokenizer, tmp_path / "base")
    return tmp_path / "base"


def test_an_adapter_is_trained_kept_and_opened_with_its_base_alone(
    chats: Path, base: Path, tmp_path: Path
) -> None:
    before = hash_of_directory(base)
    result = build([chats], {**SETTINGS, "base": str(base)}, tmp_path / "run")
    assert hash_of_directory(base) == before
    paths = RunPaths(tmp_path / "run")
    assert not list(paths.tuned.glob("model.safetensors"))
    assert read_adapter_of(paths.tuned).base_hash == before
    assert (paths.tuned / ADAPTER).stat().st_size < 200_000
    untouched, _ = from_hugging_face(base)
    tuned, _ = open_adapter(paths.tuned, torch.device("cpu"))
    begun, _ = open_adapter(paths.pretrained, torch.device("cpu"))
    ids = torch.tensor([[0, 5, 9, 30, 31, 40]])
    dtype = tuned.embed.weight.dtype
    with torch.no_grad():
        expected = untouched.to(dtype).logits(untouched(ids))
        # The base goes straight to the replies: what stands beside it for comparison is the base itself.
        assert torch.equal(begun(ids), untouched(ids))
        with adapters_off(tuned):
            assert torch.equal(tuned.logits(tuned(ids)), expected)
        assert not torch.equal(tuned.logits(tuned(ids)), expected)
        opened = open_run(tmp_path / "run")
        assert opened.talks
        close = 0.05 if dtype == torch.bfloat16 else 1e-4
        torch.testing.assert_close(
            opened.model.logits(opened.model(ids)), tuned.logits(tuned(ids)), rtol=close, atol=close
        )
    assert result["chat"]["replies"]["bpb"] < result["base"]["replies"]["bpb"]
    general = result["general"]
    assert general["language"] == "en"
    assert general["before"] != general["after"] > 0

    again = build([chats], {**SETTINGS, "base": str(base)}, tmp_path / "run")
    assert again == result
    (base / "generation_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match="have changed since; bring them back, or build the run anew"):
        open_run(tmp_path / "run")
    shutil.rmtree(base)
    with pytest.raises(ArtifactError, match="an adapter of a base that is not here"):
        open_run(tmp_path / "run")
    beside = {**SETTINGS, "base": "none", "evaluate": {"beside": [str(tmp_path / "run")]}}
    with pytest.raises(ArtifactError, match="an adapter of a base that is not here"):
        build([chats], beside, tmp_path / "other")  # before anything is trained
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("int8", [False, True])
def test_adapters_over_one_base_are_served_beside_it_and_its_weights_are_held_once(
    chats: Path, base: Path, tmp_path: Path, int8: bool
) -> None:
    build([chats], {**SETTINGS, "base": str(base)}, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    ids = torch.tensor([[0, 5, 9, 30, 31, 40]])

    def logits(model: Transformer) -> Tensor:
        with torch.inference_mode():
            return model.logits(model(ids)).float()

    alone = open_served([tmp_path / "run"], int8=int8)
    assert [one.beside for one in alone.by_name.values()] == [None]
    assert not any(isinstance(m, LoRALinear | MultiLoRALinear) for m in alone.networks[0].modules())
    served = open_served([tmp_path / "run", tmp_path / "copy", base], int8=int8)
    run, copied, untouched = served.by_name.values()
    places = [one.beside for one in (run, copied, untouched)]
    assert places == [(served.networks[-1], n) for n in range(3)]
    tables = [network.embed for network in served.networks]
    held = {t.data_ptr() for table in tables for t in (*table.parameters(), *table.buffers())}
    assert len(held) == (2 if int8 else 1)  # in int8, numbers and scales
    expected = logits(alone.networks[0])
    assert not torch.allclose(logits(untouched.model), expected, rtol=0.05, atol=0.05)
    for one in (run, copied):
        torch.testing.assert_close(logits(one.model), expected, rtol=0.05, atol=0.05)
        assert one.beside is not None
        own = logits(one.model)
        with adapters_of_rows([one.beside[1]]):
            assert torch.equal(logits(one.beside[0]), own)


@pytest.mark.parametrize("speed", [1.0, 1e9])
def test_a_base_that_does_not_talk_reads_all_text_first_where_there_is_time(
    chats: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: float
) -> None:
    config = json.loads((base / "tokenizer_config.json").read_text(encoding="utf-8"))
    del config["chat_template"]
    (base / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.setattr("mynah.plan.budget.adapter_speed", lambda parameters, device: speed)
    result = build([chats], {**SETTINGS, "base": str(base)}, tmp_path / "run")
    assert ("untouched" in result) is (speed > 1)
    assert (result["verdict"]["on"] == "replies") is (speed == 1)
    report = RunPaths(tmp_path / "run").report.read_text(encoding="utf-8")
    assert "open model, as it came" in report
    model, tokenizer = from_hugging_face(base)
    paths = RunPaths(tmp_path / "run")
    held_out = encode_records(read_records(paths.records_of("held_out")), tokenizer)
    score = summarise(score_network(model.eval(), held_out, 64), held_out)
    assert score is not None
    untouched = result["untouched"] if speed > 1 else result["base"]
    assert untouched["all"]["bpb"] == pytest.approx(
        score.bpb, rel=0.02
    )  # in half precision where that is faster
    assert result["general"]["before"] != result["general"]["after"]


@pytest.mark.parametrize("frozen", ["q8_0", "q4_1"])
def test_a_base_held_in_few_bits(chats: Path, base: Path, tmp_path: Path, frozen: str) -> None:
    result = build([chats], {**SETTINGS, "base": str(base), "frozen": frozen}, tmp_path / "run")
    plan = json.loads(RunPaths(tmp_path / "run").plan.read_text(encoding="utf-8"))
    assert plan["held"] == frozen
    assert any(f"held as {frozen}" in reason for reason in plan["reasons"])
    assert result["chat"]["replies"]["bpb"] < result["base"]["replies"]["bpb"]
    assert open_run(tmp_path / "run").talks


def test_the_memory_decides_how_a_base_is_held(
    chats: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As free memory shrinks, the base is held in fewer bits, and at last the build is refused."""
    free = {"bytes": 0}
    monkeypatch.setattr(plan_stage, "available_memory", lambda device: free["bytes"])
    _, config = read_config(base)
    settings = rates(config, from_base=True, adapter=True)
    step = TrainConfig(steps=1, batch_size=4, context_length=64, **settings)
    held = {way.name: way for way in ways(config, torch.device("cpu"))}
    lora = LoRAConfig(**SETTINGS["adapter"])
    for name, way in held.items():
        trained = TrainedCount(0, adapter_size(config, lora), way.bytes_of(config))
        free["bytes"] = int((training_memory(config, step, trained=trained).total + BASE_BYTES) / USABLE) + 16
        build([chats], {**SETTINGS, "base": str(base)}, tmp_path / name, until="plan")
        plan = json.loads(RunPaths(tmp_path / name).plan.read_text(encoding="utf-8"))
        assert plan["held"] == name
    free["bytes"] //= 2
    with pytest.raises(ConfigError, match="GiB are free"):
        build([chats], {**SETTINGS, "base": str(base)}, tmp_path / "none", until="plan")


def test_adapters_of_before_layers_could_be_chosen(chats: Path, base: Path, tmp_path: Path) -> None:
    build([chats], {**SETTINGS, "base": str(base), "adapter": {"rank": 4, "layers": 1.0}}, tmp_path / "run")
    tuned = RunPaths(tmp_path / "run").tuned
    about = json.loads((tuned / ABOUT).read_text(encoding="utf-8"))
    assert about["lora"].pop("layers") == 1
    (tuned / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    model, adapter = open_adapter(tuned, torch.device("cpu"))
    assert adapter.lora.layers == 1
    assert len({name.split(".")[1] for name in adapted(model)}) == 2


def test_a_run_over_a_base_becomes_one_file(chats: Path, base: Path, tmp_path: Path) -> None:
    build([chats], {**SETTINGS, "base": str(base)}, tmp_path / "run")
    export(tmp_path / "run", output=tmp_path / "bot.gguf", quant="f32")
    (tmp_path / "back").mkdir()
    gguf_to_hugging_face(tmp_path / "bot.gguf", tmp_path / "back")
    run, back = (open_run(tmp_path / name, "cpu", torch.float32) for name in ("run", "back"))
    ids = torch.tensor([run.tokenizer.template.prompt([Message("user", "where is order 12?")])])
    with torch.no_grad():
        torch.testing.assert_close(
            back.model.logits(back.model(ids)), run.model.logits(run.model(ids)), rtol=1e-4, atol=1e-4
        )
    assert back.talks


def test_text_is_learned_by_an_adapter_too_and_all_of_a_base_on_request(base: Path, tmp_path: Path) -> None:
    text = tmp_path / "book.txt"
    text.write_text(
        "\n\n".join(f"The order {i} went on its way to {i % 7}." * 4 for i in range(80)), encoding="utf-8"
    )
    result = build([text], {**SETTINGS, "base": str(base)}, tmp_path / "adapter")
    assert (RunPaths(tmp_path / "adapter").pretrained / ABOUT).is_file()
    assert result["base"]["all"]["bpb"] > 0
    build([text], {**SETTINGS, "base": str(base), "full": True}, tmp_path / "full")
    assert (RunPaths(tmp_path / "full").pretrained / "model.safetensors").is_file()
    assert open_run(tmp_path / "full").tokenizer.template.prompt([Message("user", "x")])


def test_a_base_that_does_not_talk_is_taught_and_exported_as_one_that_does(
    chats: Path, tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers, trainers

    backend = Backend(models.BPE())
    backend.pre_tokenizer, backend.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(["where is order 12?"], trainer)
    size = backend.get_vocab_size()
    base = tmp_path / "plain"
    ids = {"bos_token_id": 0, "eos_token_id": 0}
    shape = {"vocab_size": size, "n_positions": 128, "n_embd": 32, "n_layer": 1, "n_head": 2}
    config = transformers.GPT2Config(**shape, **ids)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(base)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>")
    fast.save_pretrained(base)
    assert not open_run(base).talks

    build([chats], {**SETTINGS, "base": str(base)}, tmp_path / "run")
    paths = RunPaths(tmp_path / "run")
    assert any(paths.pretrained.glob("metrics.jsonl"))  # on text first: it has not learned to talk
    run = open_run(tmp_path / "run", "cpu", torch.float32)
    to_hugging_face(run.model, run.tokenizer, tmp_path / "out", talks=run.talks)
    again = open_run(tmp_path / "out")
    assert run.talks
    assert again.talks
    talk = [Message("user", "where is order 12?"), Message("assistant", "here"), Message("user", "ok")]
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    dicts = [{"role": m.role, "content": m.content} for m in talk]
    expected = theirs.apply_chat_template(dicts, add_generation_prompt=True)["input_ids"]
    assert again.tokenizer.template.prompt(talk) == run.tokenizer.template.prompt(talk) == list(expected)
    assert theirs.decode(expected) == (
        "User: where is order 12?\nAssistant: here<|endoftext|>\nUser: ok\nAssistant:"
    )
