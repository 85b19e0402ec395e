"""Two models' replies to one prompt, judged by a person who does not see whose they are, or by another model."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mynah.data.records import Message
from mynah.errors import ConfigError, DataError, MynahError
from mynah.evaluate.conversations import prompts_of
from mynah.evaluate.replies import reply_to_all
from mynah.pipeline.evaluate_models import held_out_of
from mynah.pipeline.open_answers import can_answer, open_answers
from mynah.pipeline.open_run import find_run, open_run

#: The key of a judge that wants one.
KEY = "MYNAH_JUDGE_KEY"
_SECONDS = 120
_ASKED = (
    "Two assistants were asked:\n\n{prompt}\n\nAssistant 1 replied:\n\n{one}\n\nAssistant 2 replied:\n\n{two}\n\n"
    "Which reply is the better one: correct, to the point, polite? Say 1, 2, or 0 if neither is, and nothing else."
)


class Speaker:
    """A model as its users meet it: from its log where it answers from one, else in the network's own words."""

    def __init__(self, name: str, device: str) -> None:
        self.name = name
        directory = find_run(name)
        self._run = open_run(directory, device)
        if not self._run.talks:
            raise ConfigError(f"{name}: has learned no conversations, and replies to nothing")
        self._session = open_answers(directory, self._run) if can_answer(directory) else None

    def reply(self, prompt: str) -> str:
        """Reply to a first message."""
        history = [Message("user", prompt)]
        if self._session is not None:
            return self._session.reply_to(history).text
        return reply_to_all(self._run.model, self._run.tokenizer, [history], self._run.sampling)[0]


def prompts_for(first: str, file: Path | None, count: int) -> list[str]:
    """Return what is asked: the lines of a file, or what users began with in the first model's held-out part.

    Raises:
        DataError: if there is nothing.
    """
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: cannot be read: {error}") from None
        found = [line.strip() for line in lines if line.strip()]
    else:
        asked = prompts_of(held_out_of(find_run(first)), count)
        found = [one.messages[-1].content for one in asked]
    found = list(dict.fromkeys(found))[:count]
    if not found:
        raise DataError(f"{file or first}: holds no prompts")
    return found


def judge(url: str, model: str, open_: Callable[..., Any] | None = None) -> Callable[[str, str, str], float]:
    """Return what asks a model behind OpenAI's interface which of two replies is the better one.

    It is asked twice, with the replies in either order; where it then says another thing, they are alike. The score is
    1 for the first, 0 for the second, 0.5 for neither.

    Args:
        url: ends in /v1.
        model: its name there.
        open_: opens a request; None: the standard library's.
    """
    opened = open_ or urllib.request.urlopen

    def ask(prompt: str, one: str, two: str) -> str:
        body = {
            "model": model, "temperature": 0, "max_tokens": 4,
            "messages": [{"role": "user", "content": _ASKED.format(prompt=prompt, one=one, two=two)}],
        }  # fmt: skip
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            f"{url.rstrip('/')}/chat/completions", json.dumps(body).encode("utf-8"), headers
        )
        try:
            with opened(request, timeout=_SECONDS) as response:
                told = json.load(response)["choices"][0]["message"]["content"]
        except (urllib.error.URLError, OSError, ValueError, KeyError, IndexError, TypeError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise MynahError(f"the judge at {url} gave no answer: {reason}") from None
        return next((c for c in str(told) if c in "012"), "0")

    def score(prompt: str, first: str, second: str) -> float:
        there, back = ask(prompt, first, second), ask(prompt, second, first)
        if (there, back) == ("1", "2"):
            return 1.0
        return 0.0 if (there, back) == ("2", "1") else 0.5

    return score


def check_judge(url: str) -> None:
    """Raise ConfigError if a judge's address is none."""
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"--judge {url}: expected an address such as http://127.0.0.1:8080/v1")


def names_of(runs: Sequence[str]) -> list[str]:
    """Return the runs, each once.

    Raises:
        ConfigError: if there are fewer than two.
    """
    names = list(dict.fromkeys(runs))
    if len(names) < 2:
        raise ConfigError("expected two models or more: mynah compare runs/one runs/other")
    return names
