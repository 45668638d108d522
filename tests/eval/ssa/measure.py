"""How long a click takes with many raters at once: ``python -m tests.eval.ssa.measure [--postgres] [--raters N]``.

Each rater is a thread that thinks, clicks, and gets its next item through the same functions as the console. Prints
the distribution of the clicks and checks that no label was lost or doubled.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from eval.ssa.assignment import answer, next_task
from eval.ssa.database import RatingDatabase
from eval.ssa.protocol import Answer
from eval.ssa.studies import join
from eval.ssa.tables import AssignmentRow, ItemRow, State
from tests.eval.ssa.makers import PLAIN, opened, study_with, talk
from tests.postgres import postgres_server


def main() -> None:
    """Measure and print."""
    wanted = argparse.ArgumentParser(description=__doc__)
    wanted.add_argument("--postgres", action="store_true")
    wanted.add_argument("--raters", type=int, default=20)
    wanted.add_argument("--items", type=int, default=400)
    wanted.add_argument("--think-s", type=float, default=3.0, help="mean pause before a click, as of an eager person")
    given = wanted.parse_args()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        url = f"sqlite:///{Path(folder) / 'ratings.sqlite3'}"
        if given.postgres:
            url = stack.enter_context(postgres_server()).new_database()
        database = stack.enter_context(opened(url))
        clicks = run(database, given.raters, given.items, given.think_s)
    p50, p95, p99 = np.percentile(clicks, [50, 95, 99])
    kind = "PostgreSQL" if given.postgres else "SQLite"
    sys.stdout.write(
        f"{kind}, {given.raters} raters, {given.think_s} s between clicks: {len(clicks)} clicks, "
        f"median {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms; no label lost or doubled\n"
    )


def run(database: RatingDatabase, people: int, items: int, think_s: float) -> list[float]:
    """Milliseconds of every click."""
    made = study_with(database, [talk(i, replies=4) for i in range(items // 4)], replace(PLAIN, raters_per_item=5))
    ids = [join(database, made.id, f"rater {i}").id for i in range(people)]

    def work(rater_id: int) -> list[float]:
        draw, times = random.Random(rater_id), []
        time.sleep(draw.uniform(0, think_s))
        task = next_task(database, rater_id)
        while task is not None:
            time.sleep(draw.uniform(0.5, 1.5) * think_s)
            start = time.perf_counter()
            task = answer(database, rater_id, task.item_id, Answer(1 + (task.item_id + rater_id) % 3).labels())
            times.append(1000 * (time.perf_counter() - start))
        return times

    with ThreadPoolExecutor(people) as pool:
        clicks = [click for times in pool.map(work, ids) for click in times]
    check(database, len(clicks))
    return clicks


def check(database: RatingDatabase, clicks: int) -> None:
    """Every click is one label, every item has its five, no pair of item and rater comes twice."""
    with database.reading() as session:
        rows = session.execute(select(AssignmentRow.item_id, AssignmentRow.rater_id, AssignmentRow.state)).all()
        items = session.scalar(select(func.count()).select_from(ItemRow))
    assert len(rows) == len({(item, rater) for item, rater, _ in rows}) == clicks == 5 * (items or 0)
    assert all(state == State.DONE for _, _, state in rows)


if __name__ == "__main__":
    main()
