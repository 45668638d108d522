"""Take the pictures of docs/rating.md: ``python -m tests.browser.screenshots FOLDER``.

The conversations are our own sentences and the votes behind the results picture are made up by a random generator.
"""

from __future__ import annotations

import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import Browser

from eval.ssa.assignment import answer, next_task
from eval.ssa.database import RatingDatabase
from eval.ssa.importing import import_talks
from eval.ssa.pairs import make_pairs
from eval.ssa.protocol import Answer, Kind
from eval.ssa.studies import ChatSystem, StudySettings, create_study, join
from eval.ssa.transcripts import Talk
from tests.browser.console import ConsoleServer, browser, console, opened, settle
from tests.eval.ssa.makers import opened as database_at

OPENINGS = ("Hi! I finally fixed the leaking tap.", "Hi! Rain again.", "Hi! I am learning to juggle.")
SECOND = (
    ("Nice.", "Which part was worn out, the washer or the valve?"),
    ("I don't know.", "Third day in a row here. The basil on my balcony is the only one who likes it."),
    ("Do you like fish?", "Start with two scarves instead of balls: they fall slowly enough to think."),
)
DESKTOP = {"width": 1000, "height": 760}
PHONE = {"width": 390, "height": 844}


def main(folder: Path) -> None:
    """Take them all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        url = f"sqlite:///{Path(work) / 'ratings.sqlite3'}"
        with database_at(url) as ratings:
            _fill(ratings)
        with console(url, Path(work)) as server, browser() as chrome:
            _shoot(chrome, server, folder)


def _talks() -> list[Talk]:
    made = []
    for system, pick in (("plain", 0), ("careful", 1)):
        for i in range(40):
            texts = (OPENINGS[i % 3], "Hello! Tell me more.", "It took me the whole weekend.", SECOND[i % 3][pick])
            turns = tuple({"speaker": "AB"[j % 2], "text": text} for j, text in enumerate(texts))
            made.append(Talk(system, f"{system}-{i}", turns, (1, 3), facts={"bot": "B"}))
    return made


def _fill(ratings: RatingDatabase) -> None:
    settings = StudySettings(raters_per_item=3, planned=40)
    made = create_study(ratings, "Small talk, autumn", Kind.INTERACTIVE, replace(settings, practice=False))
    import_talks(ratings, made.id, _talks())
    draw = random.Random(1)
    for name in ("ana", "bo", "cy"):
        rater = join(ratings, made.id, name).id
        task = next_task(ratings, rater)
        while task is not None:
            good = any(task.lines[-1].text == pair[1] for pair in SECOND)
            kind = draw.choices(list(Answer), (1, 2, 7) if good else (4, 5, 1))[0]
            task = answer(ratings, rater, task.item_id, kind.labels())
    first = create_study(ratings, "Practice first", Kind.STATIC, replace(settings, language="en"))
    import_talks(ratings, first.id, _talks())
    korean = create_study(ratings, "일상 대화", Kind.STATIC, replace(settings, language="ko"))
    import_talks(ratings, korean.id, _talks())
    pairs = create_study(ratings, "Which one?", Kind.PAIRWISE, settings)
    import_talks(ratings, pairs.id, _talks())
    make_pairs(ratings, pairs.id, 20, seed=1)
    chat = StudySettings(practice=False, turns=(14, 28), systems=(ChatSystem("control", "generic"),))
    create_study(ratings, "Chat with a bot", Kind.INTERACTIVE, chat)


def _shoot(chrome: Browser, server: ConsoleServer, folder: Path) -> None:
    def take(
        name: str, link: str, *, keys: str = "", wait: str = ".cw-rated", full: bool = False, **how: object
    ) -> None:
        context = chrome.new_context(**{"viewport": DESKTOP, **how})  # type: ignore[arg-type]
        page = opened(context, link)
        page.wait_for_selector(wait)
        for key in keys:
            settle(page)
            page.keyboard.press(key)
        settle(page)
        page.wait_for_timeout(2500)
        page.screenshot(path=str(folder / f"rating-{name}.png"), full_page=full)
        context.close()

    rate = server.invite("Practice first", "ana")
    take("practice", rate)
    take("feedback", rate, keys="3", wait=".cw-rated")
    take("phone-dark", rate, viewport=PHONE, color_scheme="dark", has_touch=True)
    take("korean", server.invite("일상 대화", "ana"))
    take("compare", server.invite("Which one?", "ana"))
    take("chat", server.invite("Chat with a bot", "ana"), wait=".stMainBlockContainer button")
    results = server.owner_link
    tall = {"width": 1000, "height": 2300}
    take("results", results + "&study=Small%20talk%2C%20autumn", wait="text=Differences", viewport=tall)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
