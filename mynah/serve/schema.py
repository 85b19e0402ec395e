"""What may be asked, as OpenAI's interface has it, and a few fields of our own.

Fields of that interface which change nothing here are taken and left aside; any other unknown one is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

#: Alternatives of a token that may be asked for.
MOST_ALTERNATIVES = 20


def _unicode(text: str) -> str:
    """Refuse halves of characters, which no tokenizer can read."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode (a lone surrogate)") from None
    return text


Text = Annotated[str, AfterValidator(_unicode)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Stop = Annotated[Text, Field(min_length=1, max_length=200)]


class Asked(BaseModel):
    """Base of all that is asked."""

    model_config = ConfigDict(extra="forbid")


class TextPart(Asked):
    """A piece of a message."""

    type: Literal["text"]
    text: Text


class Said(Asked):
    """A text, whole or in parts."""

    content: Text | list[TextPart]

    @property
    def text(self) -> str:
        """What it says."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatMessage(Said):
    """A message of a conversation."""

    # What a reply brought along may be sent back with it: it is left aside.
    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None
    function_call: None = None
    audio: None = None


class Prediction(Said):
    """What a reply is likely to be: where it is, it comes faster."""

    type: Literal["content"]


class StreamOptions(Asked):
    """What a stream tells besides."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class JsonSchema(Asked):
    """A schema that a reply keeps to."""

    name: str = Field("", max_length=64)
    description: str | None = None
    strict: bool | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class ResponseFormat(Asked):
    """The form of a reply."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _check(self) -> ResponseFormat:
        if self.type == "json_schema" and (self.json_schema is None or self.json_schema.schema_ is None):
            raise ValueError("json_schema: expected {name, schema} beside type json_schema")
        return self


class Sampled(Asked):
    """How tokens are drawn; what is left out is as the run's recipe has it."""

    model: str = Field(max_length=256)
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1 << 31)] | None = None
    logit_bias: (
        Annotated[dict[str, Annotated[Number, Field(ge=-100, le=100)]], Field(max_length=1024)] | None
    ) = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    # Ours:
    top_k: Annotated[int, Field(ge=0, le=1 << 31)] | None = None
    min_p: Annotated[Number, Field(ge=0, lt=1)] | None = None
    repetition_penalty: Annotated[Number, Field(gt=0, le=10)] | None = None
    beams: (
        Annotated[
            int, Field(ge=1, le=16, description="seek the likeliest, so many at once; n is at most as many")
        ]
        | None
    ) = None
    length_penalty: Annotated[Number, Field(ge=0, le=10, description="of beams")] | None = None
    regex: Annotated[Text, Field(max_length=4096, description="what the text has to match")] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """Texts that end it."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def usage_in_stream(self) -> bool:
        """Whether a stream ends in what was used."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatAsked(Sampled):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2048)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=1 << 31)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = None
    response_format: ResponseFormat | None = None
    prediction: Prediction | None = None
    answers: Literal["grounded", "free", "strict", "network"] | None = Field(
        None, description="as mynah chat --answers: from the log, or in the network's own words"
    )
    # Left aside:
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    modalities: list[Literal["text"]] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None

    @model_validator(mode="after")
    def _check(self) -> ChatAsked:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs: expected logprobs true beside it")
        if self.messages[-1].role == "assistant":
            raise ValueError("messages: the last one is the assistant's; expected the user's")
        return self


Ids = Annotated[list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(min_length=1, max_length=1 << 20)]


class TextAsked(Sampled):
    """POST /v1/completions."""

    prompt: Text | Ids | Annotated[list[Text | Ids], Field(min_length=1, max_length=128)] = ""
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = None
    best_of: Annotated[int, Field(ge=1, le=128)] | None = None
    suffix: None = None


class EmbeddingsAsked(Asked):
    """POST /v1/embeddings."""

    model: str = Field(max_length=256)
    input: Text | Ids | Annotated[list[Text | Ids], Field(min_length=1, max_length=2048)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: None = None
    user: str | None = None


class ExplainAsked(Asked):
    """POST /v1/explain: why these words."""

    model: str = Field(max_length=256)
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2048)]
    text: Annotated[Text, Field(description="what was replied")]
    top: Annotated[int, Field(ge=1, le=MOST_ALTERNATIVES)] = 5


class FeedbackAsked(Asked):
    """POST /v1/feedback: what somebody thinks of a reply."""

    model: str = Field(max_length=256)
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=2048)]
    reply: Text
    good: bool
    better: Annotated[Text, Field(min_length=1)] | None = None
    places: Annotated[list[Text], Field(max_length=16)] = []
