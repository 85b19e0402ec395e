"""How fast models decode here, beside transformers, llama.cpp and CTranslate2, and what the memory would allow.

    python benchmarks/decode.py PYTHON [--rounds 3] [--tokens 48] [--models smollm2 15m]

PYTHON is an interpreter that has the peers: `pip install torch transformers ctranslate2`, and llama.cpp's own build,
`pip install --no-binary llama-cpp-python llama-cpp-python`. Models are `smollm2` (135 million weights; mynah base add
smollm2) and `15m` (a Llama shape of 6 layers, 288 wide, 32,000 tokens, weights random).

Each engine runs in a process of its own, one after another, and all of them so many rounds: told are the median of the
rounds and, in brackets, the least and the most. Tokens a second, greedily, that follow prompts of 64 tokens, of 1, 4
and 16 rows at once, reading the prompt left out; tokens a second of reading a prompt of 512; memory of the process.
Beside it the bytes a second that a sum over a large array reads, and what that allows at one row: it by the bytes of
weights.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import islice
from pathlib import Path

THREADS = 2
ROWS, PROMPT, LONG = (1, 4, 16), 64, 512
#: Engine, precision, bytes a weight.
RUNS = (
    ("mynah", "float32", 4.0), ("mynah", "bfloat16", 2.0), ("mynah", "int8", 1.0),
    ("transformers", "float32", 4.0), ("transformers", "bfloat16", 2.0),
    ("ctranslate2", "float32", 4.0), ("ctranslate2", "int8", 1.0),
    ("llama.cpp", "f32", 4.0), ("llama.cpp", "f16", 2.0), ("llama.cpp", "q8_0", 8.5 / 8),
    ("llama.cpp", "q4_0", 4.5 / 8),
)  # fmt: skip
#: (rows, tokens of each prompt, tokens that follow): seconds
Timed = Callable[[int, int, int], float]


def prompts(rows: int, length: int) -> list[list[int]]:
    """Return rows of ids that differ."""
    return [[(37 * row + 11 * at) % 900 + 100 for at in range(length)] for row in range(rows)]


def mynah(directory: str, precision: str) -> Timed:
    """Open a model here."""
    import torch

    from mynah.device import give_memory_back
    from mynah.generate.engine import Request, generate_all
    from mynah.generate.settings import SamplingConfig
    from mynah.model.packed import pack
    from mynah.model.to_int8 import to_int8
    from mynah.pipeline.open_run import open_run

    torch.set_num_threads(THREADS)
    model = open_run(directory, "cpu", torch.float32 if precision == "float32" else torch.bfloat16).model
    to_int8(model) if precision == "int8" else pack(model)  # as they are served
    give_memory_back()

    def timed(rows: int, length: int, tokens: int) -> float:
        asked = [Request(row, SamplingConfig(max_tokens=tokens)) for row in prompts(rows, length)]
        begun = time.perf_counter()
        made = generate_all(model, asked, rows)
        assert all(len(row) == tokens for row in made)
        return time.perf_counter() - begun

    return timed


def transformers(directory: str, precision: str) -> Timed:
    """Open a model in transformers."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(THREADS)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, precision)).eval()

    def timed(rows: int, length: int, tokens: int) -> float:
        ids = torch.tensor(prompts(rows, length))
        begun = time.perf_counter()
        with torch.inference_mode():
            made = model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens,
                min_new_tokens=tokens, pad_token_id=0,
            )  # fmt: skip
        assert made.shape == (rows, length + tokens)
        return time.perf_counter() - begun

    return timed


def ctranslate2(directory: str, precision: str) -> Timed:
    """Open a converted model in CTranslate2."""
    import ctranslate2
    from transformers import AutoTokenizer

    generator = ctranslate2.Generator(directory, compute_type=precision, intra_threads=THREADS)
    tokenizer = AutoTokenizer.from_pretrained(directory)

    def timed(rows: int, length: int, tokens: int) -> float:
        asked = [tokenizer.convert_ids_to_tokens(row) for row in prompts(rows, length)]
        begun = time.perf_counter()
        made = generator.generate_batch(
            asked, max_length=tokens, min_length=tokens, include_prompt_in_result=False, end_token=[]
        )
        assert all(len(row.sequences_ids[0]) == tokens for row in made)
        return time.perf_counter() - begun

    return timed


def llama_cpp(path: str, precision: str) -> Timed:
    """Open a GGUF file in llama.cpp, by its C interface: rows are sequences of one context."""
    import llama_cpp
    import numpy as np

    llama_cpp.llama_backend_init()
    how = llama_cpp.llama_model_default_params()
    how.use_extra_bufts = False  # with weights laid out for AMX 0.3.36 crashes in its first pass
    model = llama_cpp.llama_load_model_from_file(path.encode(), how)
    vocab = llama_cpp.llama_n_vocab(llama_cpp.llama_model_get_vocab(model))
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx, settings.n_seq_max = max(ROWS) * 1024, max(ROWS)
    settings.n_batch, settings.n_ubatch = 1024, 512
    settings.n_threads = settings.n_threads_batch = THREADS
    context = llama_cpp.llama_new_context_with_model(model, settings)
    batch = llama_cpp.llama_batch_init(1024, 0, 1)

    def read(given: list[tuple[int, int, int, bool]]) -> None:
        batch.n_tokens = len(given)
        for at, (token, place, row, wanted) in enumerate(given):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, place, 1
            batch.seq_id[at][0], batch.logits[at] = row, wanted
        assert llama_cpp.llama_decode(context, batch) == 0

    def best(at: int) -> int:
        found = llama_cpp.llama_get_logits_ith(context, at)
        return int(np.ctypeslib.as_array(found, shape=(vocab,)).argmax())

    def timed(rows: int, length: int, tokens: int) -> float:
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        begun, last = time.perf_counter(), []
        for row, ids in enumerate(prompts(rows, length)):
            read([(token, at, row, at == length - 1) for at, token in enumerate(ids)])
            last.append(best(length - 1))
        for step in range(tokens - 1):
            read([(token, length + step, row, True) for row, token in enumerate(last)])
            last = [best(row) for row in range(rows)]
        return time.perf_counter() - begun

    return timed


ENGINES = {"mynah": mynah, "transformers": transformers, "ctranslate2": ctranslate2, "llama.cpp": llama_cpp}


def child(engine: str, precision: str, path: str, tokens: int) -> None:
    """Measure one engine, and print it as JSON."""
    timed = ENGINES[engine](path, precision)
    found: dict[str, float] = {}
    timed(1, PROMPT, 8)  # warm
    for rows in ROWS:
        # Twice, and the quicker one: what else happens only makes it slower.
        whole = min(timed(rows, PROMPT, tokens + 1) for _ in range(2))
        first = min(timed(rows, PROMPT, 1) for _ in range(2))
        found[str(rows)] = rows * tokens / (whole - first)
    timed(1, LONG, 1)
    found["prefill"] = LONG / min(timed(1, LONG, 1) for _ in range(3))
    status = Path("/proc/self/status").read_text()
    found["memory"] = int(status.split("VmRSS:")[1].split()[0]) / 1024
    print("FOUND " + json.dumps(found))


def bandwidth() -> float:
    """Return the bytes a second that a sum over a gigabyte reads, the best of ten."""
    import torch

    torch.set_num_threads(THREADS)
    many, best = torch.ones(1 << 28), 0.0
    for _ in range(10):
        begun = time.perf_counter()
        many.sum()
        best = max(best, many.numel() * 4 / (time.perf_counter() - begun))
    return best


def small(out: Path, corpus: Path) -> None:
    """Write a Llama shape of 15 million weights, random."""
    from mynah.interop.huggingface import to_hugging_face
    from mynah.model.config import ModelConfig
    from mynah.model.weights import new_model
    from mynah.tokenizer.tokenizer import Tokenizer

    with lzma.open(min(corpus.glob("*.jsonl.xz")), "rt", encoding="utf-8") as lines:
        text = "".join(json.loads(line)["text"] for line in islice(lines, 400))[:20_000_000]
    tokenizer = Tokenizer.train([text[at : at + 2000] for at in range(0, len(text), 2000)], 32_000)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, context_length=1024, n_layer=6, n_head=6, n_embd=288, mlp="swiglu",
        ffn_hidden=768,
    )  # fmt: skip
    to_hugging_face(new_model(config, 0).eval(), tokenizer, out)


def prepared(model: str, peers: str, work: Path, corpus: Path) -> tuple[dict[tuple[str, str], str], int]:
    """Write a model in every form; return path by engine and precision, and the number of weights."""
    from mynah.interop.bases import find_base
    from mynah.pipeline.open_run import open_run

    source = work / f"{model}-hf"
    if model == "15m":
        small(source, corpus)
    else:
        source = find_base(model)
    weights = sum(p.numel() for p in open_run(source, "cpu").model.parameters())
    paths = {}
    subprocess.run(
        [
            str(Path(peers).with_name("ct2-transformers-converter")), "--model", str(source),
            "--output_dir", str(work / f"{model}-ct2"), "--copy_files", "tokenizer.json", "tokenizer_config.json",
        ],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    for engine, precision, _ in RUNS:
        if engine != "llama.cpp":
            paths[engine, precision] = str(work / f"{model}-ct2" if engine == "ctranslate2" else source)
            continue
        path = work / f"{model}-{precision}.gguf"
        if precision == "q4_0":
            code = (
                "import llama_cpp,sys; p=llama_cpp.llama_model_quantize_default_params(); p.ftype=2; "
                "assert llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), p) == 0"
            )
            subprocess.run(
                [peers, "-c", code, str(work / f"{model}-f32.gguf"), str(path)],
                check=True,
                capture_output=True,
            )
        else:
            subprocess.run(
                [sys.executable, "-m", "mynah", "export", str(source), "-o", str(path), "--quant", precision],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        paths[engine, precision] = str(path)
    return paths, weights


def _told(values: list[float]) -> str:
    return f"{statistics.median(values):8.1f} ({min(values):.1f} to {max(values):.1f})"


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("python")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--models", nargs="*", default=["smollm2", "15m"])
    parser.add_argument("--corpus", type=Path, default=Path("../shared/corpus/en_books"))
    parser.add_argument("--child", nargs=3)
    given = parser.parse_args()
    if given.child:
        child(*given.child, given.tokens)
        return
    from machine import describe

    print(describe())
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS), "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as work:
        for model in given.models:
            paths, weights = prepared(model, given.python, Path(work), given.corpus)
            found: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
            speeds = []
            for _ in range(given.rounds):
                speeds.append(bandwidth())
                for engine, precision, _ in RUNS:
                    python = sys.executable if engine == "mynah" else given.python
                    command = [
                        python,
                        __file__,
                        "x",
                        "--tokens",
                        str(given.tokens),
                        "--child",
                        engine,
                        precision,
                    ]
                    done = subprocess.run(
                        [*command, paths[engine, precision]], capture_output=True, text=True, env=environment
                    )
                    line = next((one for one in done.stdout.splitlines() if one.startswith("FOUND ")), None)
                    if line is None:
                        print(f"{engine} {precision}: {done.stderr.strip().splitlines()[-1:]}", flush=True)
                        continue
                    for name, value in json.loads(line.removeprefix("FOUND ")).items():
                        found[engine, precision][name].append(value)
            speed = statistics.median(speeds)
            print(f"\n{model}: {weights:,} weights; {speed / 1e9:.1f} GB/s are read")
            for engine, precision, each in RUNS:
                values = found[engine, precision]
                if not values:
                    continue
                allowed = speed / (each * weights)
                print(
                    f"{engine:<13} {precision:<9}"
                    + "".join(f"  {rows:>2} rows {_told(values[str(rows)])}" for rows in ROWS)
                    + f"  reading {_told(values['prefill'])}  {statistics.median(values['memory']):.0f} MB"
                    + f"  one row: {statistics.median(values['1']) / allowed:.0%} of {allowed:.0f} that memory allows",
                    flush=True,
                )


if __name__ == "__main__":
    main()
