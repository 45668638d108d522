"""The chat page in a real browser against the real server."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from bot.doors.http_api_keys import LOCAL, add_key
from bot.doors.http_api_limits import Limits
from dialogue.turns import Conversation
from tests.bot.doors.http_helpers import running_api
from tests.browser.chat_page import page_at
from tests.fakes import FakeGenerator, echo, holding, until


async def say(page: Any, words: str) -> None:
    said = await page.locator("#log li.user").count()
    await page.get_by_label("Your message").fill(words)
    await page.get_by_label("Your message").press("Enter")
    await page.locator("#log li.user").nth(said).wait_for()


async def last_reply(page: Any) -> str:
    await page.wait_for_selector("#log li.bot:last-child .rate, #log li.error:last-child")
    text: str = await page.locator("#log li:last-child .bubble").inner_text()
    return text.removeprefix("Bot:").strip()


def saved_as(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


async def picture(page: Any, name: str) -> None:
    """Keep a screenshot for a person to look at, in the folder that PICTURES names."""
    folder = os.environ.get("PICTURES")
    if folder:
        await page.screenshot(path=str(Path(folder) / f"{name}.png"))


async def test_a_person_can_talk_rate_and_come_back(tmp_path: Path) -> None:
    async with running_api(tmp_path, FakeGenerator(steps=20, step_s=0.01)) as api, page_at(api.url) as page:
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        await page.locator("#model", has_text="fake").wait_for()
        await say(page, "Hello <b>there</b>")
        assert await last_reply(page) == "You said: Hello <b>there</b> (1)"
        await page.get_by_label("Good reply").click()
        await page.wait_for_selector('[aria-label="Good reply"][aria-pressed="true"]')
        assert [(given.label, given.value) for given in api.service.engine.store.ratings()] == [("liked", 1)]
        await page.get_by_label("Good reply").click()
        await page.wait_for_selector('[aria-label="Good reply"][aria-pressed="false"]')
        assert api.service.engine.store.ratings() == ()
        await picture(page, "light")
        await page.reload()
        await page.wait_for_selector("#log li.bot")
        assert await page.locator("#log li").count() == 2
        await say(page, "Again")
        assert await last_reply(page) == "You said: Again (3)"
        assert problems == []


async def test_a_message_sent_before_the_page_has_loaded_what_was_said_stays_on_the_screen(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, page_at(api.url) as page:
        await say(page, "Before")
        assert await last_reply(page) == "You said: Before (1)"
        asked = asyncio.Event()

        async def slow(route: Any) -> None:
            await asked.wait()
            await route.continue_()

        await page.route("**/v1/conversations/*", slow)
        await page.reload()
        await page.get_by_label("Your message").fill("Hasty")
        await page.get_by_label("Your message").press("Enter")
        asked.set()
        await page.locator("#log li.user").nth(1).wait_for()
        assert await last_reply(page) == "You said: Hasty (3)"
        assert await page.locator("#log li.user .bubble").all_text_contents() == ["You: Before", "You: Hasty"]


async def test_keyboard_alone_is_enough_and_the_menu_works(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, page_at(api.url) as page:
        await page.locator("#text:focus").wait_for()
        await page.keyboard.type("One")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("Two")
        await page.keyboard.press("Enter")
        assert await last_reply(page) == "You said: One\nTwo (1)"
        await page.locator("summary").focus()
        await page.keyboard.press("Enter")
        await page.get_by_label("Who I am").select_option("captain")
        await page.locator("#status", has_text="You are now talking to").wait_for()
        await picture(page, "menu")
        await page.get_by_role("button", name="Why that reply?").click()
        await page.wait_for_selector("dialog[open]")
        assert await page.locator("#story-rows tr").count() == 2
        await picture(page, "why")
        await page.get_by_role("button", name="Close").click()
        await page.locator("summary").click()
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Download").click()
        stored = json.loads(saved_as(await (await download.value).path()))
        assert [turn["text"] for turn in stored["turns"]] == ["One\nTwo", "You said: One\nTwo (1)"]
        page.on("dialog", lambda dialog: dialog.accept())
        await page.locator("summary").click()
        await page.get_by_role("button", name="Delete").click()
        await page.locator("#status", has_text="Deleted.").wait_for()
        assert await page.locator("#log li").count() == 0
        assert api.service.engine.store.record(1) is None


async def test_stop_ends_the_work_and_keeps_nothing(tmp_path: Path) -> None:
    generator = holding()
    async with running_api(tmp_path, generator) as api, page_at(api.url) as page:
        await say(page, "Hello")
        await until(lambda: len(generator.live) == 1)
        await page.get_by_role("button", name="Stop").click()
        assert "stopped" in await last_reply(page)
        await until(lambda: len(generator.dropped) == 1)
        assert api.service.engine.store.record(1) is None


async def test_a_refusal_is_a_sentence_and_the_words_are_not_lost(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, page_at(api.url) as page:
        await say(page, "Hello")
        await last_reply(page)
        api.service.limits = Limits(requests_per_minute=1, at_once=9, clock=lambda: 0.0)  # a minute never ends here
        api.service.limits.take(LOCAL)
        await say(page, "Dear bot")
        assert "Try again in" in await last_reply(page)
        assert await page.get_by_label("Your message").input_value() == "Dear bot"


async def test_a_server_with_keys_asks_for_one(tmp_path: Path) -> None:
    secret = add_key(tmp_path / "api-keys.toml", "web", frozenset({"chat"}), None)
    async with running_api(tmp_path) as api, page_at(api.url) as page:
        await page.get_by_label("This server needs a key").fill(secret)
        await page.get_by_role("button", name="Use it").click()
        await page.wait_for_selector("#key-form", state="hidden")
        await say(page, "Hello")
        assert await last_reply(page) == "You said: Hello (1)"


async def test_it_fits_a_phone_in_the_dark_and_every_control_has_a_name(tmp_path: Path) -> None:
    def talkative(conversation: Conversation) -> list[str]:
        return [f"{echo(conversation)[0]} {'and so on ' * 20}{'x' * 90}"]

    looks = {"viewport": {"width": 360, "height": 640}, "color_scheme": "dark", "has_touch": True, "is_mobile": True}
    async with running_api(tmp_path, FakeGenerator(talkative)) as api, page_at(api.url, **looks) as page:
        for words in ("Hello", "How are you", "Fine"):
            await say(page, words)
            await last_reply(page)
        await picture(page, "phone-dark")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert max(int(part) for part in ground[4:-1].split(",")) < 60
        unnamed = await page.evaluate(
            "[...document.querySelectorAll('button, input, select, textarea')].filter(e => e.offsetParent && "
            "!(e.textContent.trim() || e.ariaLabel || e.labels?.length)).length"
        )
        assert unnamed == 0
        small = await page.evaluate(
            "[...document.querySelectorAll('button')].filter(e => e.offsetParent && e.offsetHeight < 36).length"
        )
        assert small == 0
        visible = await page.evaluate("document.querySelector('#text').getBoundingClientRect().bottom")
        assert visible <= 640
