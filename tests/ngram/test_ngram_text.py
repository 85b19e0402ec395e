from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mynah.errors import ArtifactError, DataError
from mynah.ngram import NGramModel
from mynah.ngram.marks import BOS, EOS, UNK
from mynah.ngram.model import quiet
from mynah.ngram.text import Piece, WordReader
from mynah.ngram.vocabulary import Vocabulary


def _read(
    monkeypatch: pytest.MonkeyPatch, wanted: str, piece: Piece, grow: bool, reader: WordReader
) -> list[int]:
    monkeypatch.setenv("MYNAH_NUMBA", wanted)
    return reader.read(piece, grow).tolist()


def _piece(text: str) -> Piece:
    return Piece(text.encode("utf-8", "surrogatepass"), "a text", 1)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.tuples(st.text(alphabet="ab é中\u3000\u2003\x1c\n\r\t😀\ud800", max_size=40), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_compiled_words_are_the_words(monkeypatch: pytest.MonkeyPatch, texts: list[tuple[str, bool]]) -> None:
    pytest.importorskip("numba")
    plain, compiled = WordReader("words", Vocabulary()), WordReader("words", Vocabulary())
    for text, grow in texts:
        piece = _piece(text)
        assert _read(monkeypatch, "0", piece, grow, plain) == _read(monkeypatch, "1", piece, grow, compiled)
    assert compiled.vocabulary.indexed
    assert not plain.vocabulary.indexed
    assert list(plain.vocabulary) == list(compiled.vocabulary)
    assert plain.vocabulary.joined().tobytes() == compiled.vocabulary.joined().tobytes()


def test_white_space_is_what_python_says_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv("MYNAH_NUMBA", "1")
    codes = [code for code in range(0x30000) if code != ord("\n") and not 0xD800 <= code < 0xE000]
    reader = WordReader("words", Vocabulary())
    ids = reader.read(_piece("".join(f"a{chr(code)}b\n" for code in codes)), grow=True)
    words = np.diff(np.flatnonzero(ids == BOS), append=len(ids)) - 2
    assert [chr(code) for code, n in zip(codes, words, strict=True) if n == 2] == [
        chr(code) for code in codes if chr(code).isspace()
    ]


def test_the_table_grows_with_the_words_and_between_the_ways_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv("MYNAH_NUMBA", "1")
    reader = WordReader("words", Vocabulary())
    text = "\n".join(f"w{n} w{n // 2}" for n in range(150_000))
    ids = reader.read(_piece(text), grow=True)
    assert len(reader.vocabulary) == 150_003
    shown = [reader.vocabulary[i] for i in ids.tolist() if i not in (BOS, EOS)]
    assert shown == text.split()
    # A word that comes by another way is known to both from then on.
    assert reader.vocabulary.encode(["new"], grow=True).tolist() == [150_003]
    assert reader.read(_piece("new w7 unheard"), grow=False).tolist() == [
        BOS,
        150_003,
        int(reader.vocabulary.encode(["w7"], grow=False)[0]),
        UNK,
        EOS,
    ]


def test_words_that_differ_in_one_letter_spread_over_the_table() -> None:
    pytest.importorskip("numba")
    from mynah.ngram.compiled_text import _first_slot

    for head in (b"abcdef", b"12345678abcdef"):
        slots = set()
        for last in range(256):
            word = head + bytes([last])
            first = np.uint64(int.from_bytes(word[:8], "little")) if len(word) > 8 else np.uint64(0)
            rest = np.uint64(int.from_bytes(word[-7:], "little"))
            slots.add(int(_first_slot(first, rest, np.uint64(0xFFFF))))
        assert len(slots) > 250


@pytest.mark.parametrize("wanted", ["0", "1"])
def test_marks_are_refused_with_their_line(monkeypatch: pytest.MonkeyPatch, wanted: str) -> None:
    if wanted == "1":
        pytest.importorskip("numba")
    monkeypatch.setenv("MYNAH_NUMBA", wanted)
    reader = WordReader("words", Vocabulary())
    assert len(reader.read(_piece("a<s> </s>b\n"), grow=True)) == 4
    with pytest.raises(DataError, match=r"a text:3: </s> stands in the text as a word"):
        reader.read(_piece("a\nb\nc\u3000</s> d\n"), grow=True)


def test_characters_keep_their_ids(tmp_path: Path) -> None:
    reader = WordReader("chars", Vocabulary())
    first = reader.read(_piece("天地 玄\u3000黄\n天\n"), grow=True).tolist()
    assert first == [BOS, 3, 4, 5, 6, EOS, BOS, 3, EOS]
    assert reader.read(_piece("黄 海"), grow=False).tolist() == [BOS, 6, UNK, EOS]
    assert reader.read(_piece("黄 海"), grow=True).tolist() == [BOS, 6, 7, EOS]


@pytest.mark.parametrize("damage", [b"\xff", b"\n"])
def test_words_of_a_damaged_file_are_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "pens.ng"
    with quiet():
        NGramModel.train(["i have a pen", "i need a pen"], order=2).save(path)
    data = path.read_bytes()
    at = data.index(b"have")
    path.write_bytes(data[:at] + damage + data[at + 1 :])
    with pytest.raises(ArtifactError, match="its words are not those"):
        NGramModel.load(path).perplexity(["i have a pen"])
