"""What the HTTP API reads: OpenAI's requests, with our own fields beside them. Unknown fields are accepted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Place = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[\w.:@+/ -]+$")]
Stop = str | list[str] | None


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore")


class ContentPart(_Body):
    """One part of a message's content; parts other than text are skipped."""

    type: str = "text"
    text: str | None = None


class Message(_Body):
    """One turn of the conversation as the client sees it."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    name: str | None = Field(default=None, max_length=80)

    @property
    def text(self) -> str:
        """The words of the message, whatever form they came in."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type in ("text", "input_text") and part.text)
        return self.content or ""


class StreamOptions(_Body):
    """What a stream should carry besides the text."""

    include_usage: bool = False


def _few(stop: Stop) -> Stop:
    if isinstance(stop, list) and len(stop) > 16:
        raise ValueError("at most 16 stop sequences")
    return stop


class Sampling(_Body):
    """Settings that chat and plain completions share.

    ``temperature`` and ``top_p`` act where the preset samples: a beam search has no use for them, and front ends
    send them always. Choose a sampling preset as ``model: "NAME:meena"``.
    """

    model: str = Field("", max_length=300)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = Field(default=None, ge=1, le=8)
    seed: int | None = Field(default=None, ge=-(2**63), le=2**63 - 1)
    stop: Annotated[Stop, AfterValidator(_few)] = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    user: str | None = Field(default=None, max_length=200)

    @property
    def stops(self) -> list[str]:
        """The stop sequences, without empty ones."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [stop for stop in given if stop]


class ChatRequest(Sampling):
    """POST /v1/chat/completions. With ``conversation`` the server keeps the history and reads the last message only."""

    messages: list[Message] = Field(min_length=1, max_length=2000)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    conversation: Place | None = None
    persona: str | None = Field(default=None, max_length=80, pattern=r"^[\w-]+$")
    message_id: str | None = Field(default=None, min_length=1, max_length=120)
    response_format: Any = Field(default=None, description="Read for front ends' title and tag jobs only")

    @property
    def schema_fields(self) -> frozenset[str]:
        """The names in the JSON schema of ``response_format``; none where there is no such schema."""
        schema = self.response_format
        for name in ("json_schema", "schema", "properties"):
            schema = schema.get(name) if isinstance(schema, dict) else None
        return frozenset(map(str, schema)) if isinstance(schema, dict) else frozenset()

    @property
    def told(self) -> str:
        """The first system message."""
        return next((message.text for message in self.messages if message.role in ("system", "developer")), "")

    @property
    def reply_tokens(self) -> int | None:
        """The longest reply asked for, under either of its names."""
        return self.max_completion_tokens or self.max_tokens


class CompletionRequest(Sampling):
    """POST /v1/completions: each prompt is one message."""

    prompt: str | list[str]
    echo: bool = False


class ModerationRequest(_Body):
    """POST /v1/moderations."""

    input: str | list[str | ContentPart]
    model: str | None = None


class RatingRequest(_Body):
    """POST /v1/ratings: what a person thinks of a reply of a kept conversation. ``reply`` is the completion's id."""

    conversation: Place
    reply: str = Field(min_length=1, max_length=120)
    label: str = Field(max_length=60)
    value: int | None = Field(description="1 yes, 0 no, null takes the rating back")
    user: str | None = Field(default=None, max_length=200)


class PersonaRequest(_Body):
    """PUT /v1/conversations/{conversation}/persona."""

    persona: str = Field(max_length=80, pattern=r"^[\w-]+$")


Json = dict[str, Any]
