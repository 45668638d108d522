"""OpenAI's own Python client against the real server over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import openai
import pytest

from bot.history.opening import open_store
from dialogue.turns import Conversation, ConversationKey
from tests.bot.doors.http_helpers import running_api
from tests.fakes import FakeGenerator, holding, until

MODEL = "fake"


async def test_the_openai_client_gets_an_answer(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        done = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello there"}])
        assert done.choices[0].message.content == "You said: Hello there (1)"
        assert done.choices[0].finish_reason == "stop"
        assert done.object == "chat.completion" and done.model == MODEL
        assert done.usage is not None and done.usage.total_tokens == len("Hello there") + len(
            "You said: Hello there (1)"
        )


async def test_a_stream_brings_the_same_words_and_then_the_usage(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello there"}], stream=True,
            stream_options={"include_usage": True},
        )  # fmt: skip
        chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "You said: Hello there (1)"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage is not None
    assert len({chunk.id for chunk in chunks}) == 1


async def test_the_whole_talk_is_read_with_parts_names_and_developer_messages(tmp_path: Path) -> None:
    heard: list[Conversation] = []

    def remember(conversation: Conversation) -> list[str]:
        heard.append(conversation)
        return ["Fine."]

    async with running_api(tmp_path, FakeGenerator(remember)) as api, api.openai() as client:
        await client.chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "developer", "content": "I am a lighthouse keeper.\nI like gulls."},
                {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]},
                {"role": "assistant", "content": "Three"},
                {"role": "user", "name": "ana", "content": "Four"},
            ],
        )
    assert [turn.text for turn in heard[0].turns] == ["One\nTwo", "Three", "Four"]
    assert heard[0].persona.facts == ("I am a lighthouse keeper.", "I like gulls.")
    assert heard[0].turns[-1].speaker == "ana"


async def test_without_a_conversation_nothing_is_stored(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}])
        store = api.service.engine.store
        assert store.load(ConversationKey("http", "stateless"), last=10).turns == ()
        assert store.ratings() == () and store.record(1) is None


async def test_with_a_conversation_the_server_remembers(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        for expected in ("You said: Hi (1)", "You said: Hi (3)"):
            done = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Hi"}], extra_body={"conversation": "ana"}
            )
            assert done.choices[0].message.content == expected


async def test_a_message_sent_twice_is_answered_once(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        texts = [
            (
                await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "Hi"}],
                    extra_body={"conversation": "ana", "message_id": "m1"},
                )
            ).choices[0].message.content
            for _ in range(2)
        ]  # fmt: skip
        assert texts == ["You said: Hi (1)"] * 2
        assert len(api.generator.admitted) == 1


async def test_an_answer_given_again_from_the_history_counts_its_tokens(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'history.sqlite3'}")
    async with running_api(tmp_path, store=store) as api, api.openai() as client:
        counted = [
            (
                await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "Hi"}],
                    extra_body={"conversation": "ana", "message_id": "m1"},
                )
            ).usage
            for _ in range(2)
        ]  # fmt: skip
    store.close()
    assert counted[0] == counted[1]


async def test_an_answer_names_the_model_that_gave_it_not_the_name_it_was_asked_by(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        for asked, served in (("default", "fake"), ("chinwag:meena", "fake:meena")):
            done = await client.chat.completions.create(model=asked, messages=[{"role": "user", "content": "Hi"}])
            assert done.model == served


async def test_n_stop_and_length_are_honoured(tmp_path: Path) -> None:
    def say(conversation: Conversation) -> list[str]:
        return ["I like tea. And cake.", "I like rain.", "No."]

    async with running_api(tmp_path, FakeGenerator(say)) as api, api.openai() as client:
        done = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "What do you like"}], n=2, stop=["And", "never"],
            max_tokens=7, seed=-5,
        )  # fmt: skip
        assert [choice.message.content for choice in done.choices] == ["I like tea.", "I like rain."]
        assert [choice.index for choice in done.choices] == [0, 1]
        config = api.generator.admitted[0].config
        assert config.max_length == 7 and config.seed is not None and config.seed >= 0


async def test_a_preset_is_chosen_with_the_model_and_then_temperature_counts(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        listed = [model.id async for model in client.models.list()]
        assert listed[0] == MODEL and "fake:meena" in listed
        assert (await client.models.retrieve("fake:meena")).id == "fake:meena"
        for model in ("fake:meena", MODEL):
            await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Hi"}], temperature=0.5, top_p=0.9
            )
        sampled, searched = (request.config for request in api.generator.admitted)
        assert (sampled.temperature, sampled.top_p) == (0.5, 0.9)
        assert (searched.temperature, searched.top_p) == (1.0, 1.0)


async def test_length_and_temperature_count_in_a_kept_conversation_too(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        await client.chat.completions.create(
            model="fake:meena", messages=[{"role": "user", "content": "Hi"}], max_tokens=7, temperature=0.5, top_p=0.9,
            extra_body={"conversation": "ana"},
        )  # fmt: skip
        config = api.generator.admitted[0].config
        assert (config.max_length, config.temperature, config.top_p) == (7, 0.5, 0.9)


async def test_plain_completions_answer_each_prompt(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        done = await client.completions.create(model=MODEL, prompt=["One", "Two"])
        assert [choice.text for choice in done.choices] == ["You said: One (1)", "You said: Two (1)"]
        stream = await client.completions.create(model=MODEL, prompt="One", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == "You said: One (1)"


async def test_errors_come_as_the_clients_own_exceptions(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            await client.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "Hi"}])
        assert unknown.value.code == "model_not_found" and "fake" in unknown.value.message
        with pytest.raises(openai.BadRequestError) as empty:
            await client.chat.completions.create(model=MODEL, messages=[])
        assert empty.value.param == "messages"
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model=MODEL, messages=[{"role": "assistant", "content": "Hi"}])
        with pytest.raises(openai.BadRequestError) as long:
            await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "a" * 5000}])
        assert "4,000" in long.value.message


async def test_a_full_queue_is_refused_with_the_seconds_to_wait_plain_and_streamed(tmp_path: Path) -> None:
    generator = holding()
    async with running_api(tmp_path, generator, max_queue=1, max_batch=1) as api, api.openai() as client:

        async def ask(stream: bool = False) -> object:
            return await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=stream
            )

        first = asyncio.create_task(ask())
        await until(lambda: api.service.engine.responder.batcher.live == 1)
        second = asyncio.create_task(ask())
        await until(lambda: api.service.engine.responder.batcher.waiting == 1)
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as refused:
                await ask(stream)
            assert refused.value.status_code == 503
            assert int(refused.value.response.headers["retry-after"]) >= 1
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kept", [False, True])
async def test_a_client_that_goes_away_cancels_the_work(tmp_path: Path, stream: bool, kept: bool) -> None:
    generator = holding()
    async with running_api(tmp_path, generator) as api:
        body = {"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
        async with api.http() as client:
            asking = asyncio.create_task(
                client.post("/v1/chat/completions", json={**body, **({"conversation": "x"} if kept else {})})
            )
            await until(lambda: len(generator.live) == 1)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: len(generator.dropped) == 1)
        assert api.service.engine.store.record(1) is None


async def test_a_reply_that_fails_half_way_ends_the_stream_with_an_error(tmp_path: Path) -> None:
    class Broken(Exception):
        pass

    generator = holding()
    async with running_api(tmp_path, generator) as api, api.openai() as client:

        def fail(turn: object, so_far: object) -> None:
            raise Broken("secret words")

        api.service.engine.responder.safety.say = fail  # type: ignore[method-assign, assignment]
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        generator.let_go()  # the status has been sent: only now does the reply fail
        with pytest.raises(openai.APIError) as failed:
            async for _ in stream:
                pass
        assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ('### Task:\nGenerate a concise title.\n### Output:\nJSON format: { "title": "..." }\n### Chat History:\n'
         "<chat_history>\nUSER: I would love to grow tomatoes at home\nASSISTANT: Nice!\n</chat_history>",
         '{"title": "Love grow tomatoes home"}'),
        ('### Task:\nGenerate 1-3 broad tags. JSON format: { "tags": ["tag1"] }\n'
         "<chat_history>\nUSER: I grow tomatoes\n</chat_history>", '{"tags": ["grow", "tomatoes"]}'),
        ("### Task:\nSuggest 3-5 relevant follow-up questions. JSON: { \"follow_ups\": [] }\n<chat_history>\n"
         "USER: Hi\n</chat_history>", '{"follow_ups": []}'),
        ("Please generate a concise, 5-word-or-less title for the conversation.\nUser: My cat sleeps all day",
         "Cat sleeps all day"),
    ],
)  # fmt: skip
async def test_housekeeping_of_front_ends_is_answered_but_neither_decoded_nor_stored(
    tmp_path: Path, task: str, answer: str
) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        done = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": task}], extra_body={"conversation": "x"}
        )
        assert done.choices[0].message.content == answer
        assert api.generator.admitted == [] and api.service.engine.store.record(1) is None


async def test_moderation_flags_what_the_filter_would_not_answer(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.openai() as client:
        texts = ["What a lovely day", "I want to kill myself", "My chest hurts and my left arm is numb"]
        mild, crisis, unwell = (await client.moderations.create(input=texts)).results
        assert not mild.flagged and crisis.flagged
        assert not unwell.flagged and unwell.categories.to_dict()["emergency"] is False
        assert crisis.categories.self_harm and crisis.category_scores.self_harm > mild.category_scores.self_harm
        assert set(crisis.categories.to_dict()) >= {"harassment", "hate", "sexual/minors", "violence"}
