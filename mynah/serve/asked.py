"""From what a client asks to what the engine is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mynah.data.records import Message
from mynah.errors import ConfigError, DataError
from mynah.generate.chat import chat_request, text_request
from mynah.generate.engine import Request
from mynah.generate.sampling import Constraint
from mynah.generate.settings import BeamConfig, SamplingConfig
from mynah.serve.config import ServeConfig
from mynah.serve.errors import ApiError
from mynah.serve.schema import ChatAsked, ChatMessage, Sampled, TextAsked
from mynah.serve.served import Served

#: Settings of drawing that a request may change, by the same names.
CHANGED = (
    "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
)  # fmt: skip


#: Characters for each token of a context that may be asked with: no text has as many.
MOST_CHARACTERS = 32
#: Tokens of a prompt's end by which a reply's beginning is known.
MOST_BEFORE = 4


def messages_of(asked: list[ChatMessage]) -> list[Message]:
    """Return a conversation as it is rendered."""
    return [
        Message("system" if message.role == "developer" else message.role, message.text) for message in asked
    ]


def sampling_of(
    asked: Sampled, served: Served, config: ServeConfig, most: int | None, choice: int
) -> SamplingConfig:
    """Return how a choice is drawn: as asked, and what is left out as the run's recipe has it.

    Raises:
        ApiError: if it asks for more tokens than it may.
    """
    if most is not None and most > config.max_tokens:
        raise ApiError(
            f"max_tokens: found {most}, expected at most {config.max_tokens}", 400, None, "max_tokens"
        )
    changed: dict[str, Any] = {
        name: getattr(asked, name) for name in CHANGED if getattr(asked, name) is not None
    }
    changed["max_tokens"] = min(most or served.sampling.max_tokens, config.max_tokens)
    changed["stop"] = (*served.sampling.stop, *asked.stops)
    if (seed := asked.seed if asked.seed is not None else served.sampling.seed) is not None:
        changed["seed"] = (seed + choice) % (1 << 63)
    return served.sampling.model_copy(update=changed)


def bias_of(asked: Sampled, served: Served) -> dict[int, float] | None:
    """Return what is added to logits, by token id.

    Raises:
        ApiError: if a key is no token.
    """
    if not asked.logit_bias:
        return None
    V, found = served.model.config.vocab_size, {}
    for key, value in asked.logit_bias.items():
        if not key.isascii() or not key.isdigit() or len(key) > 9 or int(key) >= V:
            raise ApiError(
                f"logit_bias: expected token ids from 0 to {V - 1} as keys", 400, None, "logit_bias"
            )
        found[int(key)] = value
    return found


def constraint_of(asked: Sampled, served: Served) -> Callable[[], Constraint] | None:
    """Return what keeps a text to a form, if one was asked for.

    Raises:
        ApiError: if two were, or it cannot be kept to.
    """
    form = asked.response_format if isinstance(asked, ChatAsked) else None
    wants_json = form is not None and form.type != "text"
    if wants_json and asked.regex is not None:
        raise ApiError("found both response_format and regex; expected one of them", 400, None, "regex")
    try:
        if asked.regex is not None:
            return served.grammars.regex(asked.regex)
        if form is not None and form.type == "json_object":
            return served.grammars.schema({"type": "object"})
        if form is not None and form.json_schema is not None and form.type == "json_schema":
            return served.grammars.schema(form.json_schema.schema_ or {})
    except ConfigError as error:
        raise ApiError(str(error), 400, None, "response_format" if wants_json else "regex") from None
    return None


def _further(
    request: Request,
    asked: Sampled,
    served: Served,
    config: ServeConfig,
    likeliest: int | None,
    each: Sequence[SamplingConfig],
) -> list[Request]:
    """Return a request for each choice: the same but for how it is drawn."""
    bias, constraint = bias_of(asked, served), constraint_of(asked, served)
    drafters = None
    if config.guess:
        drafters = partial(served.drafters, likely_of(asked, served, request.prompt, each[0].max_tokens))
    whole = replace(request, likeliest=likeliest, bias=bias, constraint=constraint, drafters=drafters)
    return [replace(whole, config=sampling) for sampling in each]


def likely_of(asked: Sampled, served: Served, prompt: Sequence[int], most: int) -> list[list[int]]:
    """Return what a client thinks is said, where it stands after the end of a prompt, at most so many tokens.

    Raises:
        ApiError: if it is far longer than a context.
    """
    expected = asked.prediction if isinstance(asked, ChatAsked) else None
    if expected is None:
        return []
    check_length(len(expected.text), served, "prediction")
    ids = served.tokenizer.encode(expected.text[: MOST_CHARACTERS * most])
    return [[*prompt[-MOST_BEFORE:], *ids[:most]]]


def beams_of(asked: Sampled) -> BeamConfig:
    """Return how the likeliest is sought.

    Raises:
        ApiError: if something is asked for that goes with drawing alone.
    """
    found = {
        "n": (asked.n or 1) > (asked.beams or 1),
        "temperature": bool(asked.temperature),
        "logit_bias": bool(asked.logit_bias),
        "regex": asked.regex is not None,
        "presence_penalty": bool(asked.presence_penalty),
        "frequency_penalty": bool(asked.frequency_penalty),
        "repetition_penalty": asked.repetition_penalty not in (None, 1),
        "logprobs": (asked.logprobs not in (None, False))
        if isinstance(asked, ChatAsked | TextAsked)
        else False,
        "response_format": isinstance(asked, ChatAsked)
        and asked.response_format is not None
        and asked.response_format.type != "text",
    }
    if wrong := [name for name, there in found.items() if there]:
        what = "expected at most as many as beams" if wrong[0] == "n" else "does not go with beams"
        raise ApiError(f"{wrong[0]}: {what}", 400, None, wrong[0])
    penalty = asked.length_penalty if asked.length_penalty is not None else 1.0
    return BeamConfig(width=asked.beams or 1, length_penalty=penalty)


def choices_of(asked: Sampled, config: ServeConfig, prompts: int = 1) -> int:
    """Return how many choices a prompt gets.

    Raises:
        ApiError: if they are more than may be asked for.
    """
    count = asked.n or 1
    if count * prompts > config.max_choices:
        raise ApiError(
            f"n: found {count * prompts} choices, expected at most {config.max_choices} of all prompts",
            400,
            None,
            "n",
        )
    return count


def chat_requests(
    asked: ChatAsked, messages: list[Message], served: Served, config: ServeConfig
) -> list[Request]:
    """Return a request for each choice of a reply.

    Raises:
        ApiError: if the conversation cannot be said, does not fit, or something is asked for that cannot be had.
    """
    most = asked.max_completion_tokens or asked.max_tokens
    likeliest = (asked.top_logprobs or 0) if asked.logprobs else None
    check_length(sum(len(message.content) for message in messages), served, "messages")
    each = [sampling_of(asked, served, config, most, n) for n in range(choices_of(asked, config))]
    try:
        request, _ = chat_request(served.model, served.tokenizer, messages, each[0])
    except DataError as error:
        raise ApiError(f"messages: {error}", 400, None, "messages") from None
    except ConfigError as error:
        raise ApiError(str(error), 400, "context_length_exceeded", "messages") from None
    return _further(request, asked, served, config, likeliest, each)


def check_length(characters: int, served: Served, param: str) -> None:
    """Refuse what is far longer than a context before it is looked at.

    Raises:
        ApiError: if it is.
    """
    context = served.model.config.context_length
    if characters > MOST_CHARACTERS * context:
        raise ApiError(
            f"{param}: {characters} characters are far more than the model's context of {context} tokens holds",
            400,
            "context_length_exceeded",
            param,
        )


def text_requests(asked: TextAsked, served: Served, config: ServeConfig) -> list[list[Request]]:
    """Return, of each prompt, a request for each choice of what follows it.

    Raises:
        ApiError: if a prompt does not fit, or something is asked for that cannot be had.
    """
    prompts = prompts_of(asked.prompt, served)
    if asked.best_of is not None and asked.best_of != (asked.n or 1):
        raise ApiError(
            "best_of: expected the same as n; all that are drawn are returned", 400, None, "best_of"
        )
    count, found = choices_of(asked, config, len(prompts)), []
    each = [sampling_of(asked, served, config, asked.max_tokens, choice) for choice in range(count)]
    empty = text_request(served.model, served.tokenizer, "", each[0])
    check_length(sum(len(prompt) for prompt in prompts if isinstance(prompt, str)), served, "prompt")
    for prompt in prompts:
        ids = served.tokenizer.begin(prompt) if isinstance(prompt, str) else prompt
        if len(ids) >= served.model.config.context_length:
            raise ApiError(
                f"the prompt takes {len(ids)} tokens, the model's context holds "
                f"{served.model.config.context_length}",
                400,
                "context_length_exceeded",
                "prompt",
            )
        found.append(_further(replace(empty, prompt=ids), asked, served, config, asked.logprobs, each))
    return found


def prompts_of(given: str | list[Any], served: Served) -> list[str | list[int]]:
    """Return what was given as several prompts, each a text or ids.

    Raises:
        ApiError: if an id is none of the model's.
    """
    single = isinstance(given, str) or (bool(given) and isinstance(given[0], int))
    prompts: list[str | list[int]] = [given] if single else list(given)
    V = served.model.config.vocab_size
    for prompt in prompts:
        if not isinstance(prompt, str) and max(prompt) >= V:
            raise ApiError(f"prompt: expected token ids from 0 to {V - 1}", 400, None, "prompt")
    return prompts
