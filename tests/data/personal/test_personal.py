"""Personal data: recall and precision on a labelled set that was not made from the patterns, and what replaces it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from benchmark_modules import benchmark
from hypothesis import given
from hypothesis import strategies as st

from mynah.data.clean.config import CleanConfig
from mynah.data.clean.run import clean
from mynah.data.personal.config import KINDS, PersonalConfig
from mynah.data.personal.find import find
from mynah.data.personal.redact import Redactor, mask
from mynah.data.records import Conversation, Document, Message
from mynah.errors import ConfigError


@pytest.fixture(scope="module")
def scores() -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = benchmark("personal_data").score(each=100, seed=7)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_recall_and_precision_by_kind(scores: dict[str, tuple[float, float]], kind: str) -> None:
    recall, precision = scores[kind]
    assert recall >= 0.97  # 0.98 is reached on the benchmark's 200 items a kind; 2 of 100 may be missed here
    assert precision >= 0.95


def kinds(text: str) -> list[tuple[str, str]]:
    return [(span.kind, text[span.start : span.end]) for span in find(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # Check digits: the last digit decides.
        ("card 4111 1111 1111 1111", [("card", "4111 1111 1111 1111")]),
        ("card 4111 1111 1111 1112", []),
        ("身份证11010519491231002X", [("id", "11010519491231002X")]),
        ("number 110105194912310021", []),
        ("IBAN GB82 WEST 1234 5698 7654 32.", [("iban", "GB82 WEST 1234 5698 7654 32")]),
        ("IBAN GB82 WEST 1234 5698 7654 33.", []),
        # What a number is called.
        ("电话13812345678", [("phone", "13812345678")]),
        ("订单号13812345678", []),
        ("firmware 10.2.33.4", []),
        ("ping 10.2.33.4", [("ip", "10.2.33.4")]),
        ("at 12:30:45", []),
        # Han characters are no border between words for Python's \b.
        ("邮箱zhang.wei@163.com谢谢", [("email", "zhang.wei@163.com")]),
        ("住在北京市朝阳区建国路88号，谢谢", [("address", "北京市朝阳区建国路88号")]),
        ("git@github.com:a/b.git and icon@2x.png", []),
        ("my password is hunter22", [("key", "hunter22")]),
        ("reset my password please", []),
        ("Mr. Smith met John Carter at the Golden Gate Bridge", [("name", "Smith"), ("name", "John Carter")]),
        ("王国维先生说得对，高兴得很", [("name", "王国维")]),
    ],
)  # fmt: skip
def test_by_hand(text: str, wanted: list[tuple[str, str]]) -> None:
    assert kinds(text) == wanted


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_read_and_spans_do_not_overlap(text: str) -> None:
    spans = find(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


TALK = Conversation(
    (
        Message("user", "I am John Smith, john@mail.org, 13812345678"),
        Message("assistant", "Thanks John Smith! We write to john@mail.org."),
    ),
    "f.csv:1",
)


def redact(record: Conversation | Document, action: str, **more: object) -> tuple[str, ...]:
    return Redactor(PersonalConfig(action=action, **more))(record)[0].texts  # type: ignore[arg-type]


def test_tags_and_masks() -> None:
    assert redact(TALK, "tag") == ("I am [NAME], [EMAIL], [PHONE]", "Thanks [NAME]! We write to [EMAIL].")
    assert mask("john@mail.org") == "j***@****.***"
    assert redact(TALK, "tag", keep=("name",))[1] == "Thanks John Smith! We write to [EMAIL]."


def test_a_pseudonym_stays_the_same_through_a_conversation_and_changes_with_it() -> None:
    first, second = redact(TALK, "pseudonym")
    name = first.removeprefix("I am ").partition(",")[0]
    assert name != "John Smith"
    assert second.startswith(f"Thanks {name}!")
    assert "@example.com" in first
    assert redact(TALK, "pseudonym") == (first, second)
    elsewhere = Conversation(TALK.messages, "f.csv:2")
    assert redact(elsewhere, "pseudonym") != (first, second)


def test_people_are_the_same_by_part_of_their_name_by_number_and_as_speakers() -> None:
    record = Conversation(
        (
            Message("user", "Hi, my name is Alice Johnson, call +1 415 555 2671", "Alice Johnson"),
            Message(
                "assistant", "Hello Alice, I call (415) 555-2671. Dear Ms. Johnson, done.", "+49 151 23456789"
            ),
        ),
        "f:1",
    )
    changed = Redactor(PersonalConfig(action="pseudonym"))(record)[0]
    assert isinstance(changed, Conversation)
    first, second = changed.texts
    whole = changed.messages[0].name
    assert f"my name is {whole}," in first
    assert f"Hello {whole.split()[0]}," in second
    assert f"Ms. {whole.split()[1]}," in second
    assert "Alice" not in repr(changed)
    assert "23456789" not in changed.messages[1].name
    digits = ["".join(c for c in text if c.isdigit())[-10:] for text in (first, second)]
    assert digits[0][-4:] != "2671"


def talk_of(*said: tuple[str, str]) -> Conversation:
    return Conversation(tuple(Message("user", text, name) for name, text in said), "f:1")


def test_speakers_are_found_in_what_is_said() -> None:
    record = talk_of(
        ("Anna Schmidt", "ok Tom, say hello to Peter"),
        ("Tom", "Hallo Anna, I met Tom and Anna Schmidt. The annals of tomatoes"),
        ("王小明", "李娜，你在吗？"),
        ("李娜", "在的，小明"),
        ("115712", "@sprintcare help, 115712 is a number"),
        ("sprintcare", "@115712 hi; agent"),
        ("agent", "an agent of the agency"),
        ("Will", "it will be; @Will"),
        ("+49 151 23456789", "@4915123456789 was here"),
    )
    (first, second, third, fourth, fifth, sixth, seventh, eighth, ninth) = redact(record, "tag")
    assert first == "ok [NAME], say hello to Peter"
    assert second == "Hallo [NAME], I met [NAME] and [NAME]. The annals of tomatoes"
    assert (third, fourth) == ("[NAME]，你在吗？", "在的，[NAME]")
    assert fifth == "@[NAME] help, 115712 is a number"
    assert sixth == "@[PHONE] hi; agent"
    assert seventh == "an agent of the agency"
    assert eighth == "it will be; @[NAME]"
    assert ninth == "@[PHONE] was here"
    changed = Redactor(PersonalConfig(action="pseudonym"))(record)[0]
    assert isinstance(changed, Conversation)
    anna, tom, ming, na, number, care, *_ = (m.name for m in changed.messages)
    assert changed.texts[0] == f"ok {tom}, say hello to Peter"
    assert changed.texts[1].startswith(f"Hallo {anna.split()[0]}, I met {tom} and {anna}.")
    assert changed.texts[2:4] == (f"{na}，你在吗？", f"在的，{ming[1:]}")
    assert changed.texts[4].startswith(f"@{care} help")
    assert changed.texts[5] == f"@{number} hi; agent"
    assert redact(record, "tag", keep=("name",))[0] == "ok Tom, say hello to Peter"


def test_a_title_is_no_given_name() -> None:
    record = talk_of(
        ("王老师", "同学们好"),
        ("李先生", "老师好，那位先生来了"),
        ("白天天", "白天见"),
        ("张小雨", "小雨来了"),
    )
    first, second, third, fourth = redact(record, "tag")
    assert (first, second) == ("同学们好", "老师好，那位先生来了")
    assert third == "白天见"
    assert fourth == "[NAME]来了"


def test_names_of_any_writing_and_settings_by_kind() -> None:
    record = talk_of(
        ("Anna\u00a0Schmidt", "hi"),
        ("Bo", "Thanks Anna"),
        ("Anna 王", "Anna 王 and Anna"),
        ("+49 151 23456789", "x"),
    )
    for action in ("pseudonym", "tag", "mask"):
        assert "Schmidt" not in repr(Redactor(PersonalConfig(action=action))(record)[0])  # type: ignore[arg-type]
    kept = Redactor(PersonalConfig(action="tag", keep=("phone",)))(record)[0]
    assert isinstance(kept, Conversation)
    assert [m.name for m in kept.messages] == ["[NAME]", "[NAME]", "[NAME]", "+49 151 23456789"]
    kept = Redactor(PersonalConfig(action="tag", keep=("name",)))(record)[0]
    assert isinstance(kept, Conversation)
    assert [m.name for m in kept.messages][1:] == ["Bo", "Anna 王", "[PHONE]"]
    assert Redactor(PersonalConfig(drop=("phone",)))(record)[1][0].action == "dropped"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+1 415 555 2671", "415 555 2671"), ("+49 151 23456789", "0151 23456789"),
        ("+86 13800138000", "13800138000"), ("0086-138-0013-8000", "138 0013 8000"),
    ],
)  # fmt: skip
def test_a_phone_number_is_the_same_with_and_without_its_country(one: str, other: str) -> None:
    (text,) = redact(Document(f"phone {one} or phone {other}", "x"), "pseudonym")
    made = ["".join(c for c in part if c.isdigit()) for part in text.split(" or ")]
    assert made[0][-10:] == made[1][-10:]
    assert made[0][-10:] != "".join(c for c in one if c.isdigit())[-10:]


def test_passports_of_letters_and_digits() -> None:
    assert redact(Document("my passport number is C01X00T47, order C01X00T48", "x"), "tag") == (
        "my passport number is [ID], order C01X00T48",
    )


def test_two_people_of_a_record_never_get_one_name() -> None:
    names = [
        f"{first} {last}"
        for first, last in zip("Ann Bob Cat Dan Eve Flo Gus".split(), "AbCdEfGhIjKlMn", strict=False)
    ]
    for number in range(40):
        record = Conversation(tuple(Message("user", "hi", name) for name in names), f"f:{number}")
        changed = Redactor(PersonalConfig(action="pseudonym"))(record)[0]
        assert isinstance(changed, Conversation)
        assert len({m.name.split()[0] for m in changed.messages}) == len(names)


def test_splitting_by_person_needs_their_names() -> None:
    from mynah.pipeline.recipe import load_recipe

    settings = {"split": {"by": "person"}, "clean": {"personal": {"action": "tag"}}}
    with pytest.raises(ConfigError, match="keep them: --keep name"):
        load_recipe(None, settings)
    load_recipe(None, {"split": {"by": "person"}, "clean": {"personal": {"action": "tag", "keep": ["name"]}}})


def test_a_kind_can_be_dropped_without_another_action() -> None:
    config = CleanConfig(personal=PersonalConfig(drop=("card",)))
    result = clean([TALK, Document("card 4111 1111 1111 1111", "f.csv:2")], config)
    assert result.records == [TALK]
    with pytest.raises(ValueError, match="card is both kept and a reason to drop"):
        PersonalConfig(keep=("card",), drop=("card",))


def test_a_pseudonym_keeps_the_form() -> None:
    (text,) = redact(Document("QQ：12345678，粤B12345", "x"), "pseudonym")
    qq, plate = text.split("，")
    assert len(qq) == len("QQ：12345678")
    assert qq != "QQ：12345678"
    assert plate[0] == "粤"
    assert len(plate) == 7


def test_the_account_names_kinds_and_never_what_they_were() -> None:
    config = CleanConfig(personal=PersonalConfig(action="tag", drop=("card",)))
    result = clean([TALK, Document("card 4111 1111 1111 1111", "f.csv:2")], config)
    assert len(result.records) == 1
    assert Counter((c.action, c.reason) for c in result.changes) == {
        ("changed", "email"): 1, ("changed", "phone"): 1, ("changed", "name"): 1, ("dropped", "card"): 1,
    }  # fmt: skip
    assert "Smith" not in repr(result.changes)
    assert "4111" not in repr(result.changes)


def test_an_unknown_kind_is_refused() -> None:
    from mynah.config import build_config

    with pytest.raises(ConfigError, match="'mail' is no kind of personal data; kinds: email, phone"):
        build_config(PersonalConfig, {"keep": ["mail"]}, "settings")
