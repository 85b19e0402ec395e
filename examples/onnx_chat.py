"""Talk to what `mynah export RUN -o DIR --onnx` wrote, with ONNX Runtime: neither torch nor Mynah is needed.

    pip install onnxruntime tokenizers jinja2
    python examples/onnx_chat.py DIR

The same few steps, in C#, Java or JavaScript, bring a bot into a program in these languages. Replies are greedy.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import jinja2
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = Path(sys.argv[1])
session = onnxruntime.InferenceSession(folder / "model.onnx")
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
about = session.get_modelmeta().custom_metadata_map
context_length, stop_ids = int(about["context_length"]), json.loads(about["stop_ids"])

settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
beside = folder / "chat_template.jinja"
text = beside.read_text(encoding="utf-8") if beside.exists() else settings.get("chat_template")
if not isinstance(text, str):
    sys.exit(f"{folder}: no chat template: its model continues texts and does not talk")
template = jinja2.Environment(
    trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
).from_string(text)
special = {name: settings.get(name) for name in ("bos_token", "eos_token")}
special = {name: token["content"] if isinstance(token, dict) else token for name, token in special.items()}

inputs = {put.name: put for put in session.get_inputs()}
cache = {
    name: np.zeros((1, put.shape[1], 0, put.shape[3]), np.float32)
    for name, put in inputs.items()
    if name.startswith("past_key_values.")
}


def reply(ids: list[int]) -> Iterator[int]:
    """Yield the tokens of a reply, each the likeliest, to the tokens of a conversation."""
    past, new, read, before = dict(cache), ids, 0, 0
    while True:
        given = {
            "input_ids": [new],
            "attention_mask": [[1] * (read + len(new))],
            "position_ids": [list(range(read, read + len(new)))],
            "previous_ids": [[before, *new[:-1]]],
        }
        logits, *present = session.run(
            None, {name: np.array(given[name]) for name in given if name in inputs} | past
        )
        past = dict(zip(past, present, strict=True))
        read, before = read + len(new), new[-1]
        token = int(logits[0, -1].argmax())
        if token in stop_ids or read >= context_length:
            return
        yield token
        new = [token]


messages: list[dict[str, str]] = []
for line in sys.stdin:
    messages.append({"role": "user", "content": line.strip()})
    while True:
        prompt = template.render(messages=messages, add_generation_prompt=True, **special)
        ids = tokenizer.encode(prompt, add_special_tokens=False).ids
        if len(ids) < context_length or len(messages) == 1:
            break
        del messages[:2]  # the oldest turns no longer fit
    said = tokenizer.decode(list(reply(ids[-context_length + 1 :])))
    messages.append({"role": "assistant", "content": said})
    print(said, flush=True)
