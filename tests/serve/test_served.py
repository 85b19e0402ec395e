"""What a service speaks for."""

from __future__ import annotations

import pytest
from services import TOKENIZER, Log, models, network

from mynah.answers.bot import AnswerSession
from mynah.data.clean.config import CleanConfig
from mynah.data.records import Message
from mynah.generate.settings import SamplingConfig
from mynah.serve.errors import ApiError
from mynah.serve.served import Served


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
