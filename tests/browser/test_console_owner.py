"""The owner in a real browser: make a study, import, invite, watch results come in, export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="no Playwright here (pip install playwright)")
pytest.importorskip("streamlit", reason="no Streamlit here (pip install 'chinwag[console]')")

from playwright.sync_api import Page

from eval.ssa.assignment import answer, next_task
from eval.ssa.protocol import Answer
from eval.ssa.studies import join, study_named
from tests.browser.console import ConsoleServer, browser, chromium, console, opened, settle, wait_for_item
from tests.eval.ssa.makers import PLAIN, study_with, talk
from tests.eval.ssa.makers import opened as database_at

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="no browser here (Debian: apt-get install chromium)"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ConsoleServer]:
    with console(f"sqlite:///{tmp_path / 'ratings.sqlite3'}", tmp_path) as running:
        yield running


@pytest.fixture
def owner(server: ConsoleServer) -> Iterator[Page]:
    with browser() as chrome:
        yield opened(
            chrome.new_context(viewport={"width": 1100, "height": 900}, accept_downloads=True), server.owner_link
        )


def go_to(page: Page, name: str) -> None:
    settle(page)
    page.get_by_role("radio", name=name, exact=True).click()
    settle(page)


def test_an_owner_makes_a_study_imports_invites_watches_and_exports(
    server: ConsoleServer, owner: Page, tmp_path: Path
) -> None:
    owner.get_by_label("Name", exact=True).fill("first study")
    owner.get_by_label("Raters per item").fill("1")
    owner.keyboard.press("Tab")
    settle(owner)
    owner.get_by_role("button", name="Make the study").click()
    owner.wait_for_selector("text=Made first study")
    lines = [{"id": str(i), "context": [f"Question {i}?"], "answers": {"x": "Yo", "y": "Hm"}} for i in range(6)]
    file = tmp_path / "talks.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    go_to(owner, "Import")
    owner.locator("input[type=file]").set_input_files(str(file))
    owner.get_by_role("button", name="Import 12 conversations").click()
    owner.wait_for_selector("text=12 conversations with 12 replies")
    go_to(owner, "Set-up")
    group_link = owner.locator("[data-testid=stCode]").first.inner_text().strip()
    assert group_link.startswith(server.base)
    go_to(owner, "Results")
    owner.wait_for_selector("text=No label has come in yet")
    with database_at(server.database) as ratings:
        made = study_named(ratings, "first study")
        ana = join(ratings, made.id, "ana").id
        task = next_task(ratings, ana)
        for number in range(17):  # five of practice, twelve of the study
            assert task
            task = answer(ratings, ana, task.item_id, Answer(1 + number % 3).labels())
    owner.wait_for_selector("text=Why this is not called SSA")  # by itself: the counts are live
    text = owner.locator(".stMainBlockContainer").inner_text()
    assert "6 replies instead of 1,477" in text
    with owner.expect_download() as download:
        owner.get_by_role("button", name="Export as CSV").click()
    assert Path(download.value.path()).read_text(encoding="utf-8").count("\n") == 13


def test_a_rater_link_shows_no_owner_page_and_no_results(server: ConsoleServer) -> None:
    with database_at(server.database) as ratings:
        study_with(ratings, [talk(1)], replace(PLAIN, raters_per_item=2), name="closed to raters")
    with browser() as chrome:
        page = opened(chrome.new_context(), server.invite("closed to raters", "ana"))
        wait_for_item(page)
        assert page.get_by_role("radio", name="Results").count() == 0
        page.goto(page.url + "&page=results")
        wait_for_item(page)
        assert "Raters" not in page.locator(".stMainBlockContainer").inner_text()


def test_a_wrong_file_is_told_in_one_sentence(server: ConsoleServer, owner: Page, tmp_path: Path) -> None:
    with database_at(server.database) as ratings:
        study_with(ratings, [talk(1)], name="any")
    owner.reload()
    owner.wait_for_selector("text=No label has come in yet")
    go_to(owner, "Import")
    file = tmp_path / "wrong.jsonl"
    file.write_text('{"nothing": 1}\n', encoding="utf-8")
    owner.locator("input[type=file]").set_input_files(str(file))
    owner.wait_for_selector("text=Line 1 of wrong.jsonl is not a conversation")


def test_the_planner_answers_on_the_spot(owner: Page) -> None:
    go_to(owner, "Plan")
    owner.wait_for_selector("text=How many conversations does it take")
    owner.wait_for_selector("[data-testid=stDataFrame]")
