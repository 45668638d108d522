"""What Open WebUI, SillyTavern and LibreChat send when they connect and chat, in the shape their sources build it.

The front ends themselves are not run here. Sources read: open-webui ``backend/open_webui/routers/openai.py`` and the
task templates of its ``config.py``; SillyTavern ``src/endpoints/backends/chat-completions.js``; LibreChat's agents
client (LangChain's ChatOpenAI) and its title prompts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.bot.doors.http_helpers import running_api
from tests.fakes import FakeGenerator

CHAT = "/v1/chat/completions"
KEY = "cw-0123456789abcdef0123456789abcdef"

OPEN_WEBUI: dict[str, Any] = {
    "model": "fake", "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.8, "seed": 0,
    "stop": ["\\n\\n"], "logit_bias": {"50256": -100}, "frequency_penalty": 0.1, "max_tokens": 128, "top_k": 40,
    "messages": [
        {"role": "system", "content": "You are a friendly gardener."},
        {"role": "user", "content": [
            {"type": "text", "text": "What grows here?", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ]},
    ],
}  # fmt: skip
SILLY_TAVERN: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "Write Robin's next reply in a fictional chat between Robin and Ana."},
        {"role": "system", "content": "[Start a new Chat]"},
        {"role": "assistant", "content": "Good evening!"},
        {"role": "user", "content": "What grows here?"},
    ],
    "model": "fake", "temperature": 1, "max_tokens": 300, "stream": True, "presence_penalty": 0,
    "frequency_penalty": 0, "top_p": 1, "top_k": 0, "stop": [], "logit_bias": {}, "n": 1,
}  # fmt: skip
LIBRE_CHAT: dict[str, Any] = {
    "model": "fake", "stream": True, "stream_options": {"include_usage": True}, "user": "65f0c0ffee65f0c0ffee65f0",
    "temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "tool_choice": None,
    "messages": [
        {"role": "developer", "content": "You are a friendly gardener."},
        {"role": "user", "content": [{"type": "text", "text": "What grows here?"}]},
    ],
}  # fmt: skip


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a stream, read as these clients read it: lines that begin with ``data:``."""
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({"Content-Type": "application/json", "Authorization": "Bearer none", "X-OpenWebUI-User-Name": "Ana"}, {}),
        ({"Authorization": "Bearer"}, {}),  # SillyTavern, Custom source, key left empty: fetch trims the space
        ({"Authorization": "Bearer undefined"}, {}),
        ({"Authorization": "Bearer none"}, {"user": "65f0c0ffee65f0c0ffee65f0"}),  # LibreChat with userIdQuery
    ],
    ids=["open-webui", "sillytavern-empty-key", "sillytavern-no-key", "librechat"],
)
async def test_the_model_list_is_what_front_ends_read_when_they_connect(
    tmp_path: Path, headers: dict[str, str], params: dict[str, str]
) -> None:
    async with running_api(tmp_path) as api, api.http(headers=headers, params=params) as client:
        answer = await client.get("/v1/models")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    models = answer.json()["data"]
    assert [set(model) for model in models] == [{"id", "object", "created", "owned_by"}] * len(models)
    assert models[0]["id"] == "fake" and all("pipeline" not in model for model in models)


async def test_a_wrong_key_is_told_in_the_form_that_front_ends_show(tmp_path: Path) -> None:
    async with running_api(tmp_path, api_key=KEY) as api:
        for key, status in (("wrong", 401), (KEY, 200)):
            async with api.http(headers={"Authorization": f"Bearer {key}"}) as client:
                answer = await client.get("/v1/models")
                assert answer.status_code == status
                assert ("error" in answer.json()) == (status == 401)


@pytest.mark.parametrize("body", [OPEN_WEBUI, SILLY_TAVERN, LIBRE_CHAT], ids=["open-webui", "sillytavern", "librechat"])
async def test_a_streamed_chat_reads_as_the_front_end_expects(tmp_path: Path, body: dict[str, Any]) -> None:
    generator = FakeGenerator()
    async with running_api(tmp_path, generator) as api, api.http() as client:
        answer = await client.post(CHAT, json=body)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    chunks = events(answer)
    said = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert said.startswith("You said: What grows here?")
    assert [c["finish_reason"] for chunk in chunks for c in chunk["choices"] if c["finish_reason"]] == ["stop"]
    wants_usage = "stream_options" in body
    assert bool(chunks[-1].get("usage")) == wants_usage
    assert all(chunk["choices"] for chunk in (chunks[:-1] if wants_usage else chunks))
    heard = generator.admitted[0].conversation
    assert any("gardener" in fact or "fictional chat" in fact for fact in heard.persona.facts)


@pytest.mark.parametrize("body", [OPEN_WEBUI, SILLY_TAVERN, LIBRE_CHAT], ids=["open-webui", "sillytavern", "librechat"])
async def test_the_same_chat_without_a_stream_is_one_json_object(tmp_path: Path, body: dict[str, Any]) -> None:
    plain = {name: value for name, value in body.items() if name != "stream_options"} | {"stream": False}
    async with running_api(tmp_path) as api, api.http() as client:
        done = (await client.post(CHAT, json=plain)).json()
    assert done["choices"][0]["message"]["content"].startswith("You said: What grows here?")
    assert done["usage"]["total_tokens"] > 0


async def test_sillytavern_can_ask_for_text_completions(tmp_path: Path) -> None:
    body = {
        "model": "fake", "prompt": "What grows here?", "max_tokens": 50, "temperature": 0.7, "top_p": 1, "n": 1,
        "stop": ["\nAna:"], "logit_bias": {}, "stream": False, "logprobs": 0,
    }  # fmt: skip
    async with running_api(tmp_path) as api, api.http() as client:
        done = (await client.post("/v1/completions", json=body)).json()
    assert done["choices"][0]["text"].startswith("You said: What grows here?")


TALK = "### Chat History:\n<chat_history>\nUSER: I would love to grow tomatoes\nASSISTANT: Nice!\n</chat_history>"


def task(words: str) -> list[tuple[str, str]]:
    return [("user", f"### Task:\n{words}\n### Output:\nJSON format: {{}}\n{TALK}")]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        (task("Generate a concise title summarizing the chat history."), "title"),
        (task("Generate 1-3 broad tags categorizing the main themes."), "tags"),
        (task("Suggest 3-5 relevant follow-up questions or prompts."), "follow_ups"),
        (task("Analyze the chat history to determine the necessity of generating search queries."), "queries"),
        (task("You are an autocompletion system. Continue the text."), "text"),
        (task("Generate a detailed prompt for am image generation task."), "prompt"),
        ([("system", "Available Tools: []\n\nYour task is to choose and return the correct tool(s)."),
          ("user", "Query: History:\nUSER: Hi\nQuery: Hi")], "tool_calls"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_open_webuis_background_tasks_get_json_without_the_model(
    tmp_path: Path, messages: list[tuple[str, str]], field: str
) -> None:
    generator = FakeGenerator()
    body = {"model": "fake", "stream": False, "messages": [{"role": r, "content": text} for r, text in messages]}
    async with running_api(tmp_path, generator) as api, api.http() as client:
        done = (await client.post(CHAT, json=body)).json()
    assert set(json.loads(done["choices"][0]["message"]["content"])) == {field}
    assert generator.admitted == []


@pytest.mark.parametrize(
    "prompt",
    [
        "Provide a concise, 5-word-or-less title for the conversation, using title case conventions. Only return the "
        "title itself.\n\nConversation:\nUser: I would love to grow tomatoes\nAI: Nice!",
        "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title "
        "in the detected language (5 words or less)\n\nUser: I would love to grow tomatoes\nAI: Nice!",
    ],
    ids=["completion", "structured"],
)
async def test_librechats_title_prompts_get_a_title_without_the_model(tmp_path: Path, prompt: str) -> None:
    generator = FakeGenerator()
    body = {"model": "fake", "messages": [{"role": "user", "content": prompt}]}
    async with running_api(tmp_path, generator) as api, api.http() as client:
        done = (await client.post(CHAT, json=body)).json()
    assert done["choices"][0]["message"]["content"] == "Love grow tomatoes"
    assert generator.admitted == []


async def test_librechats_structured_title_is_json_where_a_schema_is_sent(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"language": {"type": "string"}, "title": {"type": "string"}}}
    prompt = (
        "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title in "
        "the detected language\n\nUser: I would love to grow tomatoes\nAI: Nice!"
    )
    body = {
        "model": "fake", "messages": [{"role": "user", "content": prompt}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "extract", "schema": schema}},
    }  # fmt: skip
    async with running_api(tmp_path) as api, api.http() as client:
        done = (await client.post(CHAT, json=body)).json()
    assert json.loads(done["choices"][0]["message"]["content"]) == {"language": "en", "title": "Love grow tomatoes"}


async def test_open_webuis_emoji_for_a_call_is_an_emoji(tmp_path: Path) -> None:
    prompt = (
        "Your task is to reflect the speaker's likely facial expression through a fitting emoji. "
        "Message: ```I passed my exam!```"
    )
    generator = FakeGenerator()
    async with running_api(tmp_path, generator) as api, api.http() as client:
        done = (await client.post(CHAT, json={"messages": [{"role": "user", "content": prompt}]})).json()
    assert done["choices"][0]["message"]["content"] == "🙂" and generator.admitted == []


async def test_a_person_who_asks_for_a_title_in_passing_is_talked_to(tmp_path: Path) -> None:
    generator = FakeGenerator()
    text = "My boss told me to provide a better title for my book, can you believe it?"
    async with running_api(tmp_path, generator) as api, api.http() as client:
        await client.post(CHAT, json={"messages": [{"role": "user", "content": text}]})
    assert len(generator.admitted) == 1
