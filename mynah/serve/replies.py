"""Replies to conversations: from the log with sources, or in the network's own words; whole or as they come."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal

from mynah.answers.bot import Reply
from mynah.data.records import Message
from mynah.generate.engine import Request
from mynah.generate.scheduler import Busy, Scheduler, Stopped
from mynah.serve.asked import beams_of, chat_requests, choices_of, messages_of, text_requests
from mynah.serve.config import ServeConfig
from mynah.serve.errors import ApiError
from mynah.serve.flow import Finish, Piece, Usage, sought, spoken, too_busy
from mynah.serve.log_probs import of_chat, of_text
from mynah.serve.metrics import Metrics
from mynah.serve.schema import ChatAsked, Sampled, TextAsked
from mynah.serve.served import Served

Json = dict[str, Any]


class Replier:
    """Makes replies.

    Args:
        scheduler: computes.
        config: limits.
        metrics: counts.
        handed_over: is told of each conversation that a person is to take over; None: nobody is.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        config: ServeConfig,
        metrics: Metrics,
        handed_over: Callable[[Sequence[Message], Reply], Awaitable[None]] | None = None,
    ) -> None:
        self.scheduler, self.config, self.metrics, self.handed_over = scheduler, config, metrics, handed_over

    async def from_log(self, asked: ChatAsked, served: Served) -> tuple[Reply | None, list[Message]]:
        """Return what the log replies, and the conversation as it was understood; None: the network is to speak.

        Raises:
            ApiError: if too much waits, or something is asked for that the log cannot give.
        """
        messages = messages_of(asked.messages)
        in_form = asked.regex is not None or (
            asked.response_format is not None and asked.response_format.type != "text"
        )
        if asked.answers == "network" or (asked.answers is None and (served.answers is None or in_form)):
            return None, messages
        if in_form:
            raise ApiError("the log's replies have no such form; say answers network", 400, None, "answers")
        session = served.session(asked.answers)
        turns = [message for message in messages if message.role != "system"]
        if not turns or turns[-1].role != "user":
            raise ApiError("messages: expected a user's message at the end", 400, None, "messages")
        try:
            future = self.scheduler.call(lambda: session.reply_to(turns))
            reply = await asyncio.wrap_future(future)
        except (Busy, Stopped) as error:
            raise too_busy(error) from None
        if reply.kind == "network":
            return None, [*(m for m in messages if m.role == "system"), *session.history[:-1]]
        if reply.handed_over:
            self.metrics.handed_over.labels(served.name).inc()
            if self.handed_over is not None:
                await self.handed_over(turns, reply)
        return reply, messages

    async def own_words(
        self, asked: ChatAsked, messages: list[Message], served: Served
    ) -> AsyncIterator[Piece | Finish]:
        """Return the network's words, as they come.

        Raises:
            ApiError: as `chat_requests`.
        """
        if not served.talks:
            raise ApiError(
                f"{served.name} has learned no conversations; it goes on with text: POST /v1/completions", 400
            )
        # Long prompts and grammars take a while: the others are not held up by them.
        requests = await asyncio.to_thread(chat_requests, asked, messages, served, self.config)
        return self.counted(served, self._words(asked, served, [requests], continues=False))

    def _words(
        self, asked: Sampled, served: Served, requests: list[list[Request]], *, continues: bool
    ) -> AsyncIterator[Piece | Finish]:
        """Return what follows prompts, a list of choices for each: drawn, or the likeliest."""
        if asked.beams is not None:
            return sought(self.scheduler, served, requests, beams_of(asked), continues=continues)
        return spoken(self.scheduler, served, [one for of in requests for one in of], continues=continues)

    async def counted(
        self, served: Served, pieces: AsyncIterator[Piece | Finish]
    ) -> AsyncIterator[Piece | Finish]:
        """Pass pieces on, and count them."""
        begun, first = time.monotonic(), True
        async for piece in pieces:
            if first:
                self.metrics.first.labels(served.name).observe(time.monotonic() - begun)
                first = False
            if isinstance(piece, Finish):
                self.metrics.tokens.labels(served.name).inc(piece.tokens)
                self.metrics.prompt_tokens.labels(served.name).inc(piece.prompt_tokens)
                self.metrics.reused_tokens.labels(served.name).inc(piece.reused)
                self.metrics.drafted.labels(served.name).inc(piece.drafted)
                self.metrics.accepted.labels(served.name).inc(piece.accepted)
            yield piece

    async def chat(self, asked: ChatAsked, served: Served) -> Json | AsyncIterator[bytes]:
        """Return a chat completion, or its events.

        Raises:
            ApiError: if it cannot be had.
        """
        reply, messages = await self.from_log(asked, served)
        about = _about("chatcmpl", asked.model)
        if reply is not None:
            count = choices_of(asked, self.config)
            usage = self._usage_of(reply, messages, served, count)
            if asked.stream:
                return _reply_events(about, reply, usage if asked.usage_in_stream else None, count)
            message = {"role": "assistant", "content": reply.text, "refusal": None, **_extra(reply)}
            choices = [
                {"index": n, "message": message, "logprobs": None, "finish_reason": "stop"}
                for n in range(count)
            ]
            return {**about, "object": "chat.completion", "choices": choices, "usage": usage}
        words = await self.own_words(asked, messages, served)
        if asked.stream:
            return await begun(_chat_events(about, asked, served, words))
        texts, tokens, reasons, used = await _gathered(words, asked.n or 1)
        choices = [
            {
                "index": n,
                "message": {"role": "assistant", "content": text, "refusal": None, "kind": "network"},
                "logprobs": of_chat(served.tokenizer, tokens[n]) if asked.logprobs else None,
                "finish_reason": reasons[n],
            }
            for n, text in enumerate(texts)
        ]
        return {**about, "object": "chat.completion", "choices": choices, "usage": used.to_json()}

    def _usage_of(self, reply: Reply, messages: Sequence[Message], served: Served, count: int) -> Json:
        usage = Usage({0: sum(len(served.tokenizer.encode(message.content)) for message in messages)})
        usage.tokens = count * len(served.tokenizer.encode(reply.text))
        return usage.to_json()

    async def text(self, asked: TextAsked, served: Served) -> Json | AsyncIterator[bytes]:
        """Return a text completion, or its events.

        Raises:
            ApiError: if it cannot be had.
        """
        requests = await asyncio.to_thread(text_requests, asked, served, self.config)
        count = asked.n or 1
        about = _about("cmpl", asked.model) | {"object": "text_completion"}
        prompts = [served.tokenizer.decode(of[0].prompt) if asked.echo else "" for of in requests]
        words = self.counted(served, self._words(asked, served, requests, continues=True))
        if asked.stream:
            return await begun(_text_events(about, asked, served, words, prompts))
        texts, tokens, reasons, used = await _gathered(words, count * len(requests), count)
        choices = [
            {
                "index": n,
                "text": prompts[n // count] + text,
                "logprobs": of_text(served.tokenizer, tokens[n], len(prompts[n // count]))
                if asked.logprobs is not None
                else None,
                "finish_reason": reasons[n],
            }
            for n, text in enumerate(texts)
        ]
        return {**about, "choices": choices, "usage": used.to_json()}


def _about(kind: str, model: str) -> Json:
    return {"id": f"{kind}-{secrets.token_hex(12)}", "created": int(time.time()), "model": model}


def _extra(reply: Reply) -> Json:
    """Return the fields of our own that a reply from the log brings."""
    return {
        "sources": [asdict(source) for source in reply.sources],
        "confidence": reply.confidence,
        "handed_over": reply.handed_over,
        "kind": reply.kind,
    }


async def _gathered(
    words: AsyncIterator[Piece | Finish], count: int, of_each: int = 1 << 30
) -> tuple[list[str], list[list[Any]], list[str], Usage]:
    """Return texts, tokens and ends of all choices; `of_each`: choices to one prompt."""
    texts, tokens = [""] * count, [list[Any]() for _ in range(count)]
    reasons, used = [""] * count, Usage()
    async for piece in words:
        if isinstance(piece, Finish):
            reasons[piece.choice] = piece.reason
            used.add(piece.choice // of_each, piece)
        else:
            texts[piece.choice] += piece.text
            tokens[piece.choice] += piece.tokens
    return texts, tokens, reasons, used


def event(value: Json | Literal["[DONE]"]) -> bytes:
    """Return a server-sent event."""
    data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"data: {data}\n\n".encode("utf-8", "replace")


async def begun(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Wait for a stream's first event, so that what cannot begin is an error with a status of its own."""
    first = await anext(events)

    async def all_of_them() -> AsyncIterator[bytes]:
        try:
            yield first
            async for one in events:
                yield one
        except ApiError as error:
            yield event(error.to_json())
        finally:
            await events.aclose()  # type: ignore[attr-defined]

    return all_of_them()


async def _reply_events(about: Json, reply: Reply, usage: Json | None, count: int) -> AsyncIterator[bytes]:
    about = about | {"object": "chat.completion.chunk"}
    for n in range(count):
        delta = {"role": "assistant", "content": reply.text, **_extra(reply)}
        choice = {"index": n, "delta": delta, "logprobs": None, "finish_reason": None}
        yield event({**about, "choices": [choice]})
        yield event(
            {**about, "choices": [{"index": n, "delta": {}, "logprobs": None, "finish_reason": "stop"}]}
        )
    if usage is not None:
        yield event({**about, "choices": [], "usage": usage})
    yield event("[DONE]")


async def _chat_events(
    about: Json, asked: ChatAsked, served: Served, words: AsyncIterator[Piece | Finish]
) -> AsyncIterator[bytes]:
    about, used, spoke = about | {"object": "chat.completion.chunk"}, Usage(), set[int]()

    def chunk(n: int, delta: Json, log_probs: Json | None = None, reason: str | None = None) -> bytes:
        choice = {"index": n, "delta": delta, "logprobs": log_probs, "finish_reason": reason}
        return event({**about, "choices": [choice]})

    async for piece in words:
        if piece.choice not in spoke:
            spoke.add(piece.choice)
            yield chunk(piece.choice, {"role": "assistant", "content": "", "kind": "network"})
        if isinstance(piece, Finish):
            used.add(0, piece)
            yield chunk(piece.choice, {}, None, piece.reason)
        else:
            found = of_chat(served.tokenizer, piece.tokens) if asked.logprobs else None
            yield chunk(piece.choice, {"content": piece.text}, found)
    if asked.usage_in_stream:
        yield event({**about, "choices": [], "usage": used.to_json()})
    yield event("[DONE]")


async def _text_events(
    about: Json,
    asked: TextAsked,
    served: Served,
    words: AsyncIterator[Piece | Finish],
    prompts: Sequence[str],
) -> AsyncIterator[bytes]:
    used, count, spoke = Usage(), asked.n or 1, dict[int, int]()
    async for piece in words:
        echoed = prompts[piece.choice // count] if piece.choice not in spoke else ""
        offset = spoke.setdefault(piece.choice, len(echoed))
        choice: Json = {"index": piece.choice, "text": echoed, "logprobs": None, "finish_reason": None}
        if isinstance(piece, Finish):
            used.add(piece.choice // count, piece)
            choice["finish_reason"] = piece.reason
        else:
            choice["text"] += piece.text
            if asked.logprobs is not None:
                choice["logprobs"] = of_text(served.tokenizer, piece.tokens, offset)
            spoke[piece.choice] += len(piece.text)
        yield event({**about, "choices": [choice]})
    if asked.usage_in_stream:
        yield event({**about, "choices": [], "usage": used.to_json()})
    yield event("[DONE]")
