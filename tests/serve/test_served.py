"""Models that have weights in common hold them once."""

from __future__ import annotations

import pytest
import torch
from services import TOKENIZER, Log, models, network

from mynah.answers.bot import AnswerSession
from mynah.data.clean.config import CleanConfig
from mynah.data.records import Message
from mynah.generate.settings import SamplingConfig
from mynah.serve.errors import ApiError
from mynah.serve.served import Served, share_weights


def test_equal_weights_are_held_once_and_others_stay_apart() -> None:
    one, same, other = network(0), network(0), network(1)
    tokens = torch.tensor([[5, 6, 7]])
    before = [model(tokens) for model in (one, same, other)]
    with torch.no_grad():
        same.norm.weight.add_(0.5)  # as an adapter's part would be
    changed = same(tokens)
    saved = share_weights([one, same, other])
    assert saved > 0.9 * sum(p.numel() * p.element_size() for p in one.parameters())
    assert same.embed.weight.data_ptr() == one.embed.weight.data_ptr()
    assert same.norm.weight.data_ptr() != one.norm.weight.data_ptr()
    assert other.blocks[0].mlp is not None
    torch.testing.assert_close(one(tokens), before[0])
    torch.testing.assert_close(same(tokens), changed)
    torch.testing.assert_close(other(tokens), before[2])
    assert share_weights([one, same, other]) == 0


def test_a_mode_of_one_request_is_not_that_of_the_next() -> None:
    log = Log()
    served = Served(
        "shop", network(), TOKENIZER, True, SamplingConfig(), CleanConfig(), answers=AnswerSession(log, CleanConfig())  # type: ignore[arg-type]
    )  # fmt: skip
    asked = [Message("user", "anything")]
    assert served.session("free").reply_to(asked).kind == "network"
    assert served.session(None).reply_to(asked).kind == "handed_over"
    assert log.mode == "grounded"


def test_without_a_log_nothing_is_answered_from_it() -> None:
    with pytest.raises(ApiError, match="own has no log to answer from"):
        models(network()).get("own").session("strict")
