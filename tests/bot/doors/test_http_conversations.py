"""Conversations that the server keeps: reading, resetting, personas, ratings, export and deletion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.bot.doors.http_helpers import running_api

RATED = {"conversation": "x", "label": "liked"}


async def say(client: httpx.AsyncClient, text: str = "Hello", **more: Any) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], "conversation": "x", **more}
    answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    return done


async def test_a_reset_begins_anew(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        await say(client)
        assert [turn["role"] for turn in (await client.get("/v1/conversations/x")).json()["turns"]] == ["user", "bot"]
        assert (await client.post("/v1/conversations/x/reset")).status_code == 200
        assert (await client.get("/v1/conversations/x")).json()["turns"] == []
        assert (await say(client))["choices"][0]["message"]["content"] == "You said: Hello (1)"


async def test_a_persona_can_be_chosen_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        listed = (await client.get("/v1/personas")).json()
        assert {"robin", "captain"} <= {card["id"] for card in listed["data"]}
        assert (await client.put("/v1/conversations/x/persona", json={"persona": "captain"})).status_code == 200
        assert (await client.get("/v1/conversations/x")).json()["persona"] == "captain"
        wrong = await client.put("/v1/conversations/x/persona", json={"persona": "captian"})
        assert wrong.status_code == 400 and "captain" in wrong.json()["error"]["message"]
        path = await client.put("/v1/conversations/x/persona", json={"persona": "../../etc/passwd.toml"})
        assert path.status_code == 400


async def test_a_rating_is_stored_with_its_form_replaced_and_taken_back(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        reply = (await say(client))["id"]
        store = api.service.engine.store
        for value in (1, 0):
            stored = await client.post("/v1/ratings", json={**RATED, "reply": reply, "value": value})
            assert stored.json() == {"stored": True, "form": api.service.form.version}
            assert [(given.label, given.value) for given in store.ratings()] == [("liked", value)]
        assert (await client.get("/v1/ratings/form")).json()["version"] == store.ratings()[0].form
        taken = await client.post("/v1/ratings", json={**RATED, "reply": reply, "value": None})
        assert taken.json()["withdrawn"] and store.ratings() == ()


async def test_a_rating_of_nothing_or_of_nonsense_is_refused(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        reply = (await say(client))["id"]
        assert (await client.post("/v1/ratings", json={**RATED, "reply": "chatcmpl-no", "value": 1})).status_code == 404
        for change in ({"label": "likd"}, {"value": 7}):
            body = {**RATED, "reply": reply, "value": 1, **change}
            assert (await client.post("/v1/ratings", json=body)).status_code == 400
        assert api.service.engine.store.ratings() == ()


async def test_why_shows_the_candidates(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        assert (await client.get("/v1/conversations/x/why")).status_code == 404
        await say(client)
        why = (await client.get("/v1/conversations/x/why")).json()
        assert [c["text"] for c in why["candidates"]] == ["You said: Hello (1)", "And then?"]
        assert why["source"] == "model" and why["persona"] == "robin"


async def test_people_can_take_their_words_along_and_away(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        await say(client, "Mine", user="ana")
        await say(client, "Also here", user="ben")
        exported = (await client.get("/v1/people/ana/export")).text
        assert "Mine" in exported and "Also here" not in exported
        removed = (await client.delete("/v1/people/ana")).json()["removed"]
        assert sum(removed.values()) > 0
        assert "Mine" not in (await client.get("/v1/people/ana/export")).text
        turns = (await client.get("/v1/conversations/x")).json()["turns"]
        assert [turn["text"] for turn in turns if turn["role"] == "user"] == ["Also here"]


async def test_a_conversation_without_a_user_can_be_deleted(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        await say(client)
        assert sum((await client.delete("/v1/conversations/x")).json()["removed"].values()) > 0
        assert (await client.get("/v1/conversations/x")).json()["turns"] == []
