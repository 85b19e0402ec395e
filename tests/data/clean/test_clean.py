from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mynah.data.clean.config import CleanConfig
from mynah.data.clean.run import clean
from mynah.data.clean.steps import clean_text
from mynah.data.clean.text import fold_whitespace, remove_control, repair_unicode
from mynah.data.preprocess import preprocess, remove_stop_words, stop_words
from mynah.data.records import Conversation, Document, Message


def test_unicode_repair_keeps_chinese_punctuation() -> None:
    assert repair_unicode("schÃ¶n") == "schön"
    assert repair_unicode("你好，世界！") == "你好，世界！"
    assert repair_unicode("e\u0301") == "é"


def test_control_characters() -> None:
    assert remove_control("a\x00b\u200bc\ufeff\r\nd\te") == "abc\nd\te"
    assert remove_control("👨\u200d👩") == "👨\u200d👩"


def test_whitespace_keeps_indentation_and_one_blank_line() -> None:
    assert fold_whitespace("  if x:\n      y   =  1  \n\n\n\nend ") == "if x:\n      y = 1\n\nend"


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean_text(text, CleanConfig(repair=False))
    assert clean_text(once, CleanConfig(repair=False)) == once


def test_duplicates_and_empty_records_are_counted() -> None:
    talk = (Message("user", "Hi"), Message("assistant", "Hello"))
    shout = (Message("user", "HI "), Message("assistant", "hello"))
    swapped = (Message("assistant", "Hi"), Message("user", "Hello"))
    result = clean(
        [Conversation(talk), Conversation(shout), Conversation(swapped), Document("\u200b ")], CleanConfig()
    )
    assert len(result.records) == 2
    assert result.count("dropped") == {"duplicates": 1, "empty": 1}


def test_what_differs_by_more_than_case_and_space_is_no_repeat() -> None:
    records = [Document(text, "f:1") for text in ("x² = 4", "X²  = 4", "x2 = 4")]
    assert [r.texts[0] for r in clean(records, CleanConfig()).records] == ["x² = 4", "x2 = 4"]


def test_lowercase_and_stop_words_are_options() -> None:
    config = CleanConfig(lowercase=True, stop_words=("en",))
    assert "the" not in clean_text("The parcel of the day", config).split()
    assert clean_text("The Parcel", CleanConfig()) == "The Parcel"
    assert "的" in stop_words("zh")


def test_preprocess_as_in_the_tutorial() -> None:
    assert preprocess("Where is my Parcel?", stop_words={"is", "my"}) == ["where", "parcel"]
    assert preprocess("我的包裹在哪里?", stop_words={"我", "的"}) == ["包裹", "在", "哪里"]
    assert remove_stop_words("zh")("目的地的灯") == "目的地灯"  # no word is cut for a stop word in it
