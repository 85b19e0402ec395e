"""The service: routes, and what goes wrong on them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, MutableMapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from mynah import __version__
from mynah.answers.bot import Reply
from mynah.data.records import Message
from mynah.generate.scheduler import Busy, Scheduler, Stopped
from mynah.serve.asked import check_length, messages_of, prompts_of
from mynah.serve.config import ServeConfig
from mynah.serve.embeddings import as_base64, embed
from mynah.serve.errors import ApiError
from mynah.serve.explained import explained
from mynah.serve.flow import too_busy
from mynah.serve.guard import REPORT, App, Guard, Receive, Scope, Send, answer
from mynah.serve.metrics import Metrics
from mynah.serve.page_files import PageFile, page_files
from mynah.serve.replies import Json, Replier
from mynah.serve.schema import ChatAsked, EmbeddingsAsked, ExplainAsked, FeedbackAsked, TextAsked
from mynah.serve.served import Models

log = logging.getLogger(__name__)
Made = TypeVar("Made")
#: Sent with events: what stands between must not gather them.
_EVENTS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"description": text}
    for code, text in (
        (400, "What is asked cannot be had"), (401, "A key is needed"), (403, "Who asks may not"),
        (404, "No such model"), (408, "Too slow"), (413, "Too large"), (431, "The head is too large"),
        (503, "Too much waits"),
    )
}  # fmt: skip


def make_app(
    models: Models,
    config: ServeConfig,
    scheduler: Scheduler,
    handed_over: Callable[[Sequence[Message], Reply], Awaitable[None]] | None = None,
) -> App:
    """Return the service as an ASGI app.

    Args:
        models: that are served.
        config: who may ask, and how much.
        scheduler: computes; whoever made it stops it.
        handed_over: is told of conversations that a person is to take over.
    """
    metrics = Metrics(scheduler)
    replier = Replier(scheduler, config, metrics, handed_over)
    app = FastAPI(title="Mynah", version=__version__, docs_url=None, redoc_url=None)
    _add_errors(app)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Tell that the service lives."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=Response, responses=_ERRORS)
    async def told() -> Response:
        """Return counters in Prometheus's format."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models", responses=_ERRORS)
    async def list_models() -> Json:
        """List the models."""
        return {"object": "list", "data": [_model_json(models, name) for name in models.by_name]}

    @app.get("/v1/models/{name:path}", responses=_ERRORS)
    async def show_model(name: str) -> Json:
        """Show a model."""
        return _model_json(models, models.get(name).name)

    @app.post("/v1/chat/completions", responses=_ERRORS)
    async def chat(asked: ChatAsked, request: Request) -> Response:
        """Reply to a conversation."""
        return _response(await while_there(request, replier.chat(asked, models.get(asked.model))))

    @app.post("/v1/completions", responses=_ERRORS)
    async def complete(asked: TextAsked, request: Request) -> Response:
        """Go on with texts."""
        return _response(await while_there(request, replier.text(asked, models.get(asked.model))))

    @app.post("/v1/embeddings", responses=_ERRORS)
    async def embeddings(asked: EmbeddingsAsked, request: Request) -> Json:
        """Return texts as vectors."""
        served = models.get(asked.model)
        begin, encode = served.tokenizer.control.bos, served.tokenizer.encode
        rows, prompts = [], prompts_of(asked.input, served)
        check_length(max(map(len, prompts)), served, "input")
        for prompt in prompts:
            ids = await asyncio.to_thread(encode, prompt) if isinstance(prompt, str) else prompt
            if not ids or len(ids) >= served.model.config.context_length:
                raise ApiError(
                    f"input: found a text of {len(ids)} tokens, expected 1 to "
                    f"{served.model.config.context_length - 1}",
                    400,
                    "context_length_exceeded",
                    "input",
                )
            rows.append([begin, *ids])
        vectors = []
        for row in rows:  # one by one: whoever talks waits for no more than one of them
            work = partial(scheduler.call, partial(embed, served.model, [row]))
            vectors.append((await _computed(request, work))[0])
        packed = asked.encoding_format == "base64"
        data = [
            {"object": "embedding", "index": n, "embedding": as_base64(vector) if packed else vector.tolist()}
            for n, vector in enumerate(vectors)
        ]
        used = sum(map(len, rows)) - len(rows)
        return {
            "object": "list", "data": data, "model": asked.model,
            "usage": {"prompt_tokens": used, "total_tokens": used},
        }  # fmt: skip

    @app.post("/v1/explain", responses=_ERRORS)
    async def explain(asked: ExplainAsked, request: Request) -> Json:
        """Tell of each token of a reply how likely it was, and what else might have stood there."""
        served = models.get(asked.model)
        messages = messages_of(asked.messages)
        told = explained(served.model, served.tokenizer, messages, asked.text, asked.top, served.ngram)
        tokens = await _computed(request, partial(scheduler.steps, told))
        return {"object": "explanation", "tokens": tokens}

    @app.post("/v1/feedback", responses=_ERRORS)
    async def feedback(asked: FeedbackAsked) -> Json:
        """Keep what somebody thinks of a reply."""
        served = models.get(asked.model)
        if served.feedback is None:
            raise ApiError(f"{asked.model}: nothing is kept of what is said of its replies", 400, "not_kept")
        messages = [message for message in messages_of(asked.messages) if message.role != "system"]
        if not messages or messages[-1].role != "user":
            raise ApiError("messages: expected a user's message at the end", 400, None, "messages")
        kept = await asyncio.to_thread(
            served.feedback.keep, messages, asked.reply, asked.good, asked.better, asked.places
        )
        return {"object": "feedback", "kept_in": kept}

    @app.get("/runs/{name}/report", response_class=Response, responses=_ERRORS)
    async def report(name: str) -> Response:
        """Show the report of a run."""
        served = models.get(name)
        if served.report is None:
            raise ApiError(f"{name} has no report", 404)
        page = await asyncio.to_thread(served.report.read_bytes)
        return Response(
            page, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": REPORT}
        )

    for path, file in page_files().items():
        app.add_api_route(path, partial(_file, file), include_in_schema=False, response_class=Response)
    return _Counted(Guard(app, config), metrics)


async def _file(file: PageFile, request: Request) -> Response:
    """Return a file of the page."""
    headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == file.tag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


async def _computed(request: Request, work: Callable[[], Future[Made]]) -> Made:
    """Have something computed between steps of the others, as long as the client waits for it."""
    try:
        return await while_there(request, _waited(asyncio.wrap_future(work())))
    except (Busy, Stopped) as error:
        raise too_busy(error) from None


class _Counted:
    """Counts requests and times them.

    Args:
        app: answers them.
        metrics: where they are counted.
    """

    def __init__(self, app: App, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.monotonic(), 499  # the client had gone

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sent)
        except Exception as error:  # what it says may hold what was asked
            log.error("a request could not be answered: %s", type(error).__name__)
            if status == 499:
                await answer(ApiError("the service has failed at this", 500), sent)
        finally:
            # The route's own name: what somebody typed into the path is neither counted nor logged.
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.monotonic() - begun
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(seconds)
            log.info("%s %s %d %.3f s", scope["method"], route, status, seconds)


def _model_json(models: Models, name: str) -> Json:
    served = models.by_name[name]
    return {
        "id": name,
        "object": "model",
        "created": served.created,
        "owned_by": "mynah",
        "context_length": served.model.config.context_length,
        "talks": served.talks,
        "answers": served.answers.answerer.mode if served.answers is not None else None,
        "feedback": served.feedback is not None,
        "report": served.report is not None,
    }


def _response(made: Json | AsyncIterator[bytes]) -> Response:
    if isinstance(made, dict):
        return JSONResponse(made)
    return StreamingResponse(made, media_type="text/event-stream", headers=_EVENTS)


async def _waited(future: asyncio.Future[Made]) -> Made:
    return await future


async def while_there(request: Request, work: Coroutine[Any, Any, Made]) -> Made:
    """Wait for something as long as the client does; what nobody waits for is given up."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ApiError("the client has gone", 499)
    finally:
        for one in (task, gone):
            one.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _add_errors(app: FastAPI) -> None:
    """Have everything that goes wrong told as the interface has it."""

    def told(error: ApiError) -> JSONResponse:
        return JSONResponse(error.to_json(), error.status, dict(error.headers))

    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> Response:
        return told(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        # Only where it is and what was expected: never what stands there.
        first = error.errors()[0]
        place = ".".join(
            str(part) for part in first["loc"][1:] if not isinstance(part, str) or part.isidentifier()
        )
        return told(ApiError(f"{place}: {first['msg']}" if place else first["msg"], 400, None, place or None))

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        response = told(ApiError(str(error.detail), error.status_code))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return told(ApiError("the service has failed at this; its log says more", 500))
