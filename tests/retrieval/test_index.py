from __future__ import annotations

from pathlib import Path

import pytest

from mynah.data.records import Conversation, Document, Labelled, Message
from mynah.errors import ArtifactError, DataError
from mynah.retrieval.exchanges import Exchange, exchanges_of
from mynah.retrieval.features import features_of
from mynah.retrieval.index import ExchangeIndex

TALK = Conversation(
    (
        Message("user", "Can you wrap it?", "Ann", "2026-01-02T10:00:00", 2),
        Message("assistant", "Yes, for 3 euros.", "Shop", "2026-01-02T10:01:00", 3),
        Message("user", "And is the price on it?", "Ann", "", 4),
        Message("assistant", "No, we leave prices out.", "Shop", "", 5),
    ),
    "shop.csv:2",
)


def exchanges() -> list[Exchange]:
    return [
        *exchanges_of([TALK]),
        Exchange("can you wrap a gift", "yes, for  3 EUROS.", place="shop.csv:9"),
        Exchange("Where is my parcel?", "Follow the link.", place="shop.csv:11"),
    ]


def test_exchanges_know_what_was_before_and_the_line_of_their_reply() -> None:
    first, second = exchanges_of([TALK, Document("no talk")])
    assert (first.question, first.before, first.place) == ("Can you wrap it?", (), "shop.csv:3")
    assert first.time == "2026-01-02T10:01:00"
    assert first.names == ("Ann", "Shop")
    assert [m.content for m in second.before] == ["Can you wrap it?", "Yes, for 3 euros."]
    assert second.place == "shop.csv:5"


def test_a_label_is_a_reply_too() -> None:
    (exchange,) = exchanges_of([Labelled("I want it back", "refund", "data.csv:7")])
    assert (exchange.question, exchange.reply, exchange.place) == ("I want it back", "refund", "data.csv:7")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    index = ExchangeIndex.build(exchanges(), tmp_path / "index")
    assert list(index) == exchanges()
    assert list(ExchangeIndex(tmp_path / "index")) == exchanges()


def test_replies_that_differ_in_case_and_spaces_are_one(tmp_path: Path) -> None:
    index = ExchangeIndex.build(exchanges(), tmp_path / "index")
    assert index.n_replies == 3
    reply = index.number_of("YES, for 3 euros.")
    assert reply is not None
    assert list(index.members(reply)) == [0, 2]
    assert index.text_of(reply) == "Yes, for 3 euros."
    assert index.number_of("never said") is None


def test_a_search_finds_distinct_replies_by_the_likest_question(tmp_path: Path) -> None:
    index = ExchangeIndex.build(exchanges(), tmp_path / "index")
    hits = index.search(features_of("wrap a gift"), 5)
    assert hits[0].exchange == 2
    assert len({hit.reply for hit in hits}) == len(hits)
    assert index.search(features_of("parcel"), 1)[0].exchange == 3
    assert index.search(features_of("🦔"), 5) == []


def test_a_reply_that_is_said_again_and_again_does_not_hide_the_others(tmp_path: Path) -> None:
    many = [Exchange(f"wrap it {n}", "Yes.") for n in range(600)] + [Exchange("wrap and post", "By post.")]
    index = ExchangeIndex.build(many, tmp_path / "index")
    assert len(index.search(features_of("wrap it"), 2)) == 2


def test_it_knows_what_was_said_before(tmp_path: Path) -> None:
    index = ExchangeIndex.build(exchanges(), tmp_path / "index")
    assert list(index.reply_before) == [-1, index.number_of("Yes, for 3 euros."), -1, -1]


def test_no_exchange_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no reply"):
        ExchangeIndex.build([], tmp_path / "index")


@pytest.mark.parametrize("name", ["exchanges.arrow", "replies.npy"])
def test_a_damaged_file_is_told(tmp_path: Path, name: str) -> None:
    ExchangeIndex.build(exchanges(), tmp_path / "index")
    (tmp_path / "index" / name).write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="damaged"):
        ExchangeIndex(tmp_path / "index")
