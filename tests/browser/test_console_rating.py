"""Raters in a real browser: keys, phone, dark, Korean, two at once, a killed browser and a killed server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("playwright", reason="no Playwright here (pip install playwright)")
pytest.importorskip("streamlit", reason="no Streamlit here (pip install 'chinwag[console]')")

from playwright.sync_api import Browser

from eval.ssa.assignment import progress
from eval.ssa.database import RatingDatabase
from eval.ssa.pairs import make_pairs
from eval.ssa.protocol import Kind
from eval.ssa.results import choices, rated_replies, results
from eval.ssa.studies import ChatSystem, StudySettings, create_study, join, rater, study_named
from tests.browser.console import (
    ConsoleServer,
    browser,
    chromium,
    console,
    opened,
    press,
    rated_text,
    settle,
    wait_for_item,
)
from tests.eval.ssa.makers import PLAIN, study_with, talk
from tests.eval.ssa.makers import opened as database_at

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no browser here (Debian: apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleServer]:
    folder = tmp_path_factory.mktemp("console")
    with console(f"sqlite:///{folder / 'ratings.sqlite3'}", folder) as running:
        yield running


@pytest.fixture
def ratings(server: ConsoleServer) -> Iterator[RatingDatabase]:
    with database_at(server.database) as found:
        yield found


def votes(ratings: RatingDatabase, name: str) -> dict[str, dict[str, int]]:
    with ratings.reading() as session:
        found = rated_replies(session, study_named(ratings, name))
    return {reply.reply: dict(reply.votes[0].labels) for reply in found}


def test_a_study_is_rated_with_the_keyboard_alone_and_undone(
    server: ConsoleServer, ratings: RatingDatabase, chrome: Browser
) -> None:
    said = [({"speaker": "Person", "text": f"Hi {i}!"}, {"speaker": "SecretBot", "text": f"Yo {i}"}) for i in range(4)]
    talks = [talk(i, "SecretBot", 1, turns=turns) for i, turns in enumerate(said)]
    study_with(ratings, talks, replace(PLAIN, practice=True), name="keys")
    page = opened(chrome.new_context(), server.invite("keys", "ana"))
    for key in "31213":  # the five practice items
        press(page, key)
        assert page.locator("[data-testid=stAlert]").count() == 1
        press(page, "Enter")
    first = rated_text(page)
    press(page, "2")
    assert "1 done" in page.locator(".stMainBlockContainer").inner_text()
    press(page, "u")
    assert rated_text(page) == first
    press(page, "3")
    press(page, "1")
    press(page, "s")
    assert "SecretBot" not in page.content()
    press(page, "1")
    assert sorted((v["sensible"], v["specific"]) for v in votes(ratings, "keys").values()) == [(0, 0), (0, 0), (1, 1)]


def test_two_raters_at_once_get_different_replies_and_lose_none(
    server: ConsoleServer, ratings: RatingDatabase, chrome: Browser
) -> None:
    made = study_with(ratings, [talk(i) for i in range(3)], name="two")
    pages = [opened(chrome.new_context(), server.invite("two", name)) for name in ("ana", "bo")]
    for page in pages:
        wait_for_item(page)
    assert rated_text(pages[0]) != rated_text(pages[1])
    for turn in range(6):
        press(pages[turn % 2], "3")
    found = results(ratings, made.id).systems[0]
    assert (found.votes, found.ssa and found.ssa.n) == (6, 6)
    assert [progress(ratings, join(ratings, made.id, name).id).done for name in ("ana", "bo")] == [3, 3]


def test_a_killed_browser_and_a_killed_server_cost_nothing(
    server: ConsoleServer, ratings: RatingDatabase, chrome: Browser
) -> None:
    study_with(ratings, [talk(i) for i in range(3)], name="killed")
    link = server.invite("killed", "ana")
    context = chrome.new_context()
    page = opened(context, link)
    wait_for_item(page)
    press(page, "3")
    waiting = rated_text(page)
    context.close()  # the browser is gone, without a goodbye to the page
    page = opened(chrome.new_context(), link)
    wait_for_item(page)
    assert rated_text(page) == waiting
    server.kill()
    server.start()
    page = opened(chrome.new_context(), link)
    wait_for_item(page)
    assert rated_text(page) == waiting
    deadline = time.monotonic() + 60
    while len(votes(ratings, "killed")) < 2 and time.monotonic() < deadline:
        if rated_text(page) == waiting:  # a page that has just come back may miss a key; a person presses again
            press(page, "1")
        page.wait_for_timeout(200)
    assert len(votes(ratings, "killed")) == 2, page.locator(".stMainBlockContainer").inner_text()


def test_a_phone_in_the_dark_shows_everything_without_scrolling_sideways(
    server: ConsoleServer, ratings: RatingDatabase, chrome: Browser
) -> None:
    study_with(ratings, [talk(i, replies=8) for i in range(2)], name="phone")
    context = chrome.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True)
    page = opened(context, server.invite("phone", "ana"))
    wait_for_item(page)
    settle(page)
    page.get_by_role("button", name="Sensible and specific").tap()
    page.wait_for_selector("text=1 done")
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor") == "rgb(18, 18, 18)"
    box = page.get_by_role("button", name="Sensible and specific").bounding_box()
    assert box and box["y"] + box["height"] <= 844
    assert box["height"] >= 44, "large enough for a thumb"
    page.wait_for_function(  # what is rated is seen without scrolling, above the answers
        "() => { const of = (s) => document.querySelector(s).getBoundingClientRect(); const reply = of('.cw-rated p');"
        " return reply.top >= 0 && reply.bottom <= of('.st-key-answers').top }"
    )
    assert len(votes(ratings, "phone")) == 1


def test_buttons_questions_and_conversations_can_be_read_out(
    server: ConsoleServer, ratings: RatingDatabase, chrome: Browser
) -> None:
    study_with(ratings, [talk(1)], name="spoken")
    page = opened(chrome.new_context(), server.invite("spoken", "ana"))
    wait_for_item(page)
    assert page.get_by_role("region", name="conversation").count() == 1
    assert page.get_by_label("Reply to rate").count() == 1
    for name in ("Makes no sense", "Sensible", "Undo", "Skip"):
        assert page.get_by_role("button", name=name).count() >= 1
    contrast = page.evaluate(CONTRAST)
    assert min(contrast.values()) >= 4.5, contrast


CONTRAST = """() => {
  const rgb = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const lum = c => { const [r, g, b] = rgb(c).map(v => { v /= 255; return v <= .03928 ? v / 12.92 :
    Math.pow((v + .055) / 1.055, 2.4); }); return .2126 * r + .7152 * g + .0722 * b; };
  const ratio = (a, b) => { const [x, y] = [lum(a), lum(b)].sort((m, n) => n - m); return (x + .05) / (y + .05); };
  const solid = el => { while (el) { const c = getComputedStyle(el).backgroundColor;
    if (/^rgb\\(/.test(c)) return c; el = el.parentElement; } return 'rgb(255, 255, 255)'; };
  const out = {};
  for (const s of ['.st-key-answers button p', '.cw-q']) {
    const el = document.querySelector(s); out[s] = ratio(getComputedStyle(el).color, solid(el)); }
  return out; }"""


def test_the_whole_screen_speaks_korean_after_one_click(
    server: ConsoleServer, ratings: RatingDatabase, chrome: Browser
) -> None:
    made = study_with(ratings, [talk(i) for i in range(2)], name="korean")
    page = opened(chrome.new_context(), server.invite("korean", "ana"))
    wait_for_item(page)
    page.get_by_text("한국어").click()
    page.wait_for_selector("text=말이 안 된다")
    press(page, "1")
    assert "1개 완료" in page.locator(".stMainBlockContainer").inner_text()
    assert rater(ratings, join(ratings, made.id, "ana").id).language == "ko"


def test_a_group_link_gives_everybody_a_link_of_their_own(
    server: ConsoleServer, ratings: RatingDatabase, chrome: Browser
) -> None:
    study_with(ratings, [talk(i) for i in range(2)], name="group")
    page = opened(chrome.new_context(), server.invite("group"))
    page.get_by_role("textbox", name="Your name").fill("cy")
    page.get_by_role("button", name="Begin").click()
    wait_for_item(page)
    settle(page)
    own = page.url
    press(page, "3")
    waiting = rated_text(page)
    page = opened(chrome.new_context(), own)
    wait_for_item(page)
    assert rated_text(page) == waiting
    page = opened(chrome.new_context(), server.invite("group"))
    page.get_by_role("textbox", name="Your name").fill("cy")
    page.get_by_role("button", name="Begin").click()
    page.wait_for_selector("text=this name already")


def test_a_forged_or_missing_link_opens_nothing(server: ConsoleServer, chrome: Browser) -> None:
    page = opened(chrome.new_context(), server.base + "/?t=WyJvd25lciIsMCwwLDk5OTk5OTk5OTldx.AAAA")
    assert "not valid" in page.locator(".stMainBlockContainer").inner_text()
    page = opened(chrome.new_context(), server.base)
    assert "link" in page.locator(".stMainBlockContainer").inner_text()


def test_pairs_are_compared_side_by_side(server: ConsoleServer, ratings: RatingDatabase, chrome: Browser) -> None:
    talks = [talk(i, system) for i in range(3) for system in ("Alpha", "Beta")]
    made = study_with(ratings, talks, name="pairs", kind=Kind.PAIRWISE)
    make_pairs(ratings, made.id, 3)
    page = opened(chrome.new_context(), server.invite("pairs", "ana"))
    for _ in range(3):
        wait_for_item(page)
        settle(page)
        left = page.locator(".cw-talk").first.inner_text()
        press(page, "1" if "Alpha" in left else "2")
    found = choices(ratings, made.id, "engaging")
    assert len(found) == 3
    assert all(choice.first_won == (choice.first == "Alpha") for choice in found)


def test_a_chat_with_the_control_is_rated_reply_by_reply(
    server: ConsoleServer, ratings: RatingDatabase, chrome: Browser
) -> None:
    settings = StudySettings(
        practice=False, raters_per_item=1, turns=(4, 6), systems=(ChatSystem("control", "generic"),)
    )
    made = create_study(ratings, "chat", Kind.INTERACTIVE, settings)
    link = server.invite("chat", "ana")
    page = opened(chrome.new_context(), link)
    page.get_by_role("button", name="Begin a conversation").click()
    for words, key in (("Hi!", "2"), ("How are you?", "1")):
        page.get_by_test_id("stChatInputTextArea").fill(words)
        page.keyboard.press("Enter")
        page.wait_for_selector(".st-key-answers button")
        settle(page)
        page = opened(chrome.new_context(), link)  # taken up in another browser before the label
        page.wait_for_selector(".st-key-answers button")
        press(page, key)
    page.get_by_role("button", name="End the conversation").click()
    page.get_by_role("button", name="Begin a conversation").wait_for()
    (system,) = results(ratings, made.id).systems
    assert (system.system, system.votes) == ("control", 2)
    assert system.parts["sensible"].mean == 0.5
