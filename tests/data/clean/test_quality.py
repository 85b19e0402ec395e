"""The published rules, each broken by one text made for it, and the steps around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.config import build_config
from mynah.data.clean.config import CleanConfig
from mynah.data.clean.measure import Measured
from mynah.data.clean.quality import (
    REPEATED_NGRAM,
    TOP_NGRAM,
    c4,
    c4_lines,
    fineweb,
    gopher,
    remove_boilerplate,
    repetition,
)
from mynah.data.clean.run import clean
from mynah.data.clean.steps import clean_text, steps_of
from mynah.data.clean.text import remove_html, repair_unicode
from mynah.data.language import language_of
from mynah.data.records import Conversation, Document, Message
from mynah.errors import ConfigError

#: Sound prose, a sentence a line.
PROSE = """The lamp stood in the window of the house until morning, and nobody came to put it out.
When the boats returned, children ran down to the harbour with baskets that their mothers had made.
Fish was cheap that year, so people ate it with bread and talked about better times.
An old teacher told us how rivers change their beds over centuries.
She had maps of each one, drawn by hand, coloured in blue and brown.
Most of them hang in the school to this day, though some corners are torn.
Visitors ask whether they may be copied, and the answer is always yes."""
CHINESE = """城里的人都说那座老桥要拆了，可是谁也不知道是哪一天。
早上我去买菜的时候，看见几个孩子在河边放风筝。
他们的父亲坐在石头上抽烟，偶尔抬头看看天空。
这条河以前很宽，夏天常有船从南方运来水果。
后来修了铁路，码头就慢慢冷清下来，只剩下一家茶馆。
茶馆的老板记得每位客人的名字，也记得他们爱喝什么茶。"""


@pytest.mark.parametrize("text", [PROSE, CHINESE])
def test_sound_text_breaks_no_rule(text: str) -> None:
    measured = Measured(text)
    assert [rule(measured) for rule in (gopher, repetition, fineweb, c4)] == [None] * 4
    assert c4_lines(text) == text
    assert remove_boilerplate(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The cat and the dog.", "fewer than 50 words"),
        ("the of " * 60, "mean word length"),
        (PROSE.replace(" ", " # ", 30), "#"),
        ("\n".join("• " + line for line in PROSE.split("\n")), "bullet"),
        ("\n".join(line[:-1] + "..." for line in PROSE.split("\n")), "ellipsis"),
        (" ".join(f"the and {i}{i}{i} {i * 77}" for i in range(100, 160)), "hold a letter"),
        (" ".join(f"word{i}x" for i in range(80)), "commonest words"),
    ],
)
def test_gopher(text: str, reason: str) -> None:
    assert reason in (gopher(Measured(text)) or "")


def test_repeated_lines_and_paragraphs() -> None:
    assert repetition(Measured("One line.\n" * 5 + PROSE)) == "more than 30% of lines repeat an earlier one"
    long = "\n".join(line * 3 for line in PROSE.split("\n")[:2])
    assert "20% of characters are in repeated lines" in (
        repetition(Measured(f"{long}\n{PROSE}\n{long}")) or ""
    )


@given(st.lists(st.integers(0, 6), min_size=2, max_size=60))
def test_ngram_shares_agree_with_a_slow_count(numbers: list[int]) -> None:
    """The rules over n-grams, worked out word by word as Rae et al. describe them."""
    words = [f"w{n}" * (n + 1) for n in numbers]
    total = sum(map(len, words))
    wanted = None
    for n, most in TOP_NGRAM.items():
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        if len(grams) < 2:
            break
        counts = {gram: grams.count(gram) for gram in grams}
        top = max(counts.values())
        shares = {counts[g] * sum(map(len, g)) for g in grams if counts[g] == top and top > 1}
        if shares and min(shares) > most * total:
            wanted = n
            break
        if shares and max(shares) > most * total:
            return  # two n-grams are as frequent, and only one of them is too long
    found = repetition(Measured(" ".join(words)))
    if wanted is not None:
        assert found == f"one {wanted}-gram has more than {TOP_NGRAM[wanted]:.0%} of the characters"
        return
    for n, most in REPEATED_NGRAM.items():
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        covered = {i + k for i, gram in enumerate(grams) if grams.count(gram) > 1 for k in range(n)}
        if sum(len(words[i]) for i in covered) > most * total:
            assert found == f"more than {most:.0%} of characters are in repeated {n}-grams"
            return
    assert found is None or "gram" not in found


def test_ngrams_are_equal_where_words_are() -> None:
    text = Measured("a b c a b c a b d")
    for n in (1, 2, 3, 4):
        hashes = text.ngrams(n)
        grams = [tuple(text.words[i : i + n]) for i in range(len(text.words) - n + 1)]
        assert len(hashes) == len(grams)
        equal = np.equal.outer(hashes, hashes)
        assert equal.tolist() == [[a == b for b in grams] for a in grams]
    assert len(text.ngrams(20)) == 0


def test_fineweb_and_c4() -> None:
    assert (
        fineweb(Measured("\n".join(f"no full stop in line {i} of this list" for i in range(20)))) is not None
    )
    short = "\n".join(f"Line {i}." for i in range(20))
    assert fineweb(Measured(short)) == "more than 67 % of lines are short"
    assert c4(Measured(PROSE + " {")) == "holds a curly bracket"
    assert c4(Measured("Lorem ipsum dolor. One. Two.")) == "holds 'lorem ipsum'"
    assert c4(Measured("Only one sentence here, and no more.")) == "fewer than 3 sentences"
    lines = (
        "A whole sentence with enough words.\nToo short.\nno end mark on this line\n"
        "Please enable JavaScript to go on here.\n我们在这里写一个足够长的句子。\n太短。"
    )
    assert c4_lines(lines) == "A whole sentence with enough words.\n我们在这里写一个足够长的句子。"


def test_boilerplate_is_dropped_and_talk_about_it_stays() -> None:
    text = "We use cookies to improve it.\nI baked cookies for the children.\nAll rights reserved.\n请启用JavaScript"
    assert remove_boilerplate(text) == "I baked cookies for the children."


def test_html_remains_go_and_code_stays() -> None:
    assert (
        remove_html("a<br>b &amp; c &lt;#&gt; <b class='x'>d</b><script>evil()</script>") == "a\nb & c <#> d"
    )
    assert (
        remove_html("vec<int> a < b && c > d &unknownentity; Vec<T>")
        == "vec<int> a < b && c > d &unknownentity; Vec<T>"
    )


def test_ligatures_and_curly_quotes() -> None:
    assert repair_unicode("of\ufb01ce “quoted” \ufb03") == "office “quoted” ffi"


def test_scripts_of_chinese() -> None:
    assert clean_text("頭髮和後面", CleanConfig(script="t2s")) == "头发和后面"
    assert clean_text("头发和后面", CleanConfig(script="s2t")) == "頭髮和後面"


@pytest.mark.parametrize(
    ("text", "code"),
    [("Where is my parcel?", "en"), ("我的包裹在哪里", "zh"), ("Où est mon colis, s'il vous plaît ?", "fr"),
     ("荷物はどこですか、教えてください", "ja"), ("ok", ""), ("123 456", "")],
)  # fmt: skip
def test_languages(text: str, code: str) -> None:
    assert language_of(text).code == code


def talk(*texts: str) -> Conversation:
    return Conversation(tuple(Message("user", text) for text in texts), texts[0])


def test_a_language_is_kept_where_one_message_is_in_it() -> None:
    config = build_config(CleanConfig, {"language": {"keep": ["en"]}}, "test")
    records = [
        talk("Where is my parcel today?"),
        talk("我的包裹在哪里呢？", "Please answer me in English"),
        talk("我的包裹在哪里呢？"),
        talk("ok"),
    ]
    result = clean(records, config)
    assert [r.place for r in result.records] == ["Where is my parcel today?", "我的包裹在哪里呢？", "ok"]
    assert result.changes[0].reason == "language zh"


def test_a_rule_can_warn_and_judges_documents_alone() -> None:
    for action, kept in (("warn", 2), ("drop", 1)):
        config = build_config(CleanConfig, {"quality": {"gopher": action}}, "test")
        result = clean([Document("Too short.", "f:1"), talk("Too short.")], config)
        assert len(result.records) == kept
        assert [c.action for c in result.changes] == ["warned" if action == "warn" else "dropped"]


def test_perplexity_is_judged_by_a_model_that_is_handed_in() -> None:
    config = build_config(CleanConfig, {"quality": {"perplexity": "drop", "max_perplexity": 100}}, "test")
    result = clean(
        [Document("plain", "f:1"), Document("zxqj", "f:2")], config, lambda text: 500 if "z" in text else 5
    )
    assert [r.place for r in result.records] == ["f:1"]
    with pytest.raises(ConfigError, match=r"needs a model: clean\.quality\.model"):
        steps_of(config)
