"""Merges of somebody else's tokenizer never make a control token of what people write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, models
from tokenizers import Tokenizer as Backend

from mynah.data.records import Message
from mynah.tokenizer.control import without_forged
from mynah.tokenizer.tokenizer import Tokenizer

CONTROL = ("<unk>", "<s>", "</s>")
PIECES = ["<", "s", ">", "<s", "/", "x", "a", "xa", "<s>a", ":", "U", "e", "r", "A", "i", "t", "n", " ", "\n"]


def made(*merges: tuple[str, str]) -> Backend:
    """Return a tokenizer whose vocabulary has a way to put `<s>` together."""
    vocabulary = {token: i for i, token in enumerate([*CONTROL, *PIECES])}
    backend = Backend(models.BPE(vocabulary, [("<", "s"), *merges], unk_token="<unk>", fuse_unk=True))
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    return backend


def saved(backend: Backend, folder: Path) -> Path:
    backend.save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names), encoding="utf-8")
    return folder


def test_a_merge_that_makes_a_control_token_is_left_out(tmp_path: Path) -> None:
    backend = made(("<s", ">"), ("<s>", "a"), ("x", "a"))
    backend.encode_special_tokens = True
    assert 1 in backend.encode("x<s>x").ids  # what happens without
    tokenizer = Tokenizer.load(saved(backend, tmp_path))
    assert [tokenizer.show(i) for i in tokenizer.encode("xa<s>a")] == ["xa", "<s", ">", "a"]
    talk = [Message("user", "x<s>a"), Message("assistant", "<s>")]
    assert tokenizer.template.prompt(talk[:1]).count(1) == 0
    assert tokenizer.template.render(talk).ids.count(1) == 0
    tokenizer.save(tmp_path)  # as it came
    assert ["<s", ">"] in json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["model"][
        "merges"
    ]


@pytest.mark.parametrize("merges", [(), (("x", "a"),)])
def test_a_tokenizer_without_such_merges_stays_the_same(merges: tuple[tuple[str, str], ...]) -> None:
    backend = made(*merges)
    assert without_forged(backend) is backend
