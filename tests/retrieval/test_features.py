from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mynah.retrieval.features import count_features, features_of


def test_runs_of_a_word_worked_out_by_hand() -> None:
    # " a" "ab" "b " / " ab" "ab " / " ab "
    assert len(features_of("ab")) == 6
    assert len(features_of("abc")) == 4 + 3 + 2  # of four, " abc" and "abc "


def test_chinese_is_compared_by_single_characters_and_pairs() -> None:
    assert len(features_of("退货")) == 3
    assert set(features_of("退")) < set(features_of("退货"))


def test_marks_case_and_width_make_no_difference() -> None:
    assert list(features_of("Where's my PARCEL?")) == list(features_of("where s my ｐａｒｃｅｌ"))
    assert list(features_of("退货，怎么办？")) == list(features_of("退货 怎么办"))


def test_scripts_are_taken_apart_where_they_meet() -> None:
    assert set(features_of("A4纸")) == set(features_of("a4")) | set(features_of("纸"))


def test_what_says_nothing_has_no_features() -> None:
    for text in ("", "  ", "?!", "🦔"):
        assert not len(features_of(text))


def test_a_misspelt_word_shares_most_runs() -> None:
    right, wrong = set(features_of("delivery")), set(features_of("delivrey"))
    assert len(right & wrong) * 3 > len(right)


@settings(max_examples=50)
@given(st.lists(st.text(max_size=30), max_size=8))
def test_texts_side_by_side_are_counted_as_each_alone(texts: list[str]) -> None:
    together = count_features(texts)
    for number, text in enumerate(texts):
        alone = count_features([text])
        mine = together.texts == number
        assert list(together.features[mine]) == list(alone.features)
        assert list(together.counts[mine]) == list(alone.counts)
