from __future__ import annotations

from pathlib import Path

import pytest

from mynah.data.readers.encoding import detect_encoding
from mynah.data.readers.inputs import Input, check_exists
from mynah.errors import DataError

CHINESE = "你好，请问什么时候发货？订单已经付款三天了，还没有消息。" * 20
FRENCH = "Où est mon colis ? Il a été expédié à Besançon, très déçu. " * 20
JAPANESE = "注文した商品がまだ届きません。いつ発送されますか。" * 20


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "gb18030"),
        (CHINESE, "utf-16"),
        ("臺灣的包裹什麼時候會到？謝謝您的幫忙。" * 20, "big5"),
        (FRENCH, "cp1252"),
        (FRENCH, "utf-8"),
        (JAPANESE, "shift_jis"),
        ("plain ascii " * 50, "utf-8"),
        ("Hello there, where is it? " * 30, "utf-16-le"),
    ],
)
def test_text_survives_its_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(text.encode(encoding))
    assert path.read_text(encoding=detect_encoding(Input(path.name, path))).lstrip("\ufeff") == text


def test_latin_1_with_few_accents_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes((b"plain words of a long book " * 2000) + "caf\xe9 ol\xe9".encode("latin-1"))
    assert "café" in path.read_text(encoding=detect_encoding(Input(path.name, path)))


def test_utf8_cut_in_a_character_is_still_utf8(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(CHINESE.encode()[:-1])
    assert detect_encoding(Input(path.name, path)) == "utf-8"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (bytes(range(256)) * 20, "binary"),
        (b"\x00" * 500, "binary"),
    ],
)
def test_binary_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=what):
        detect_encoding(Input(path.name, path))


def test_what_is_not_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(DataError, match="no such file"):
        check_exists(tmp_path / "none.csv")
    with pytest.raises(DataError, match="empty"):
        check_exists(tmp_path / "empty.csv")
