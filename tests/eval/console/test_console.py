from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dialogue.decoding.config import DecodingConfig
from dialogue.errors import UserError
from eval.console.access import Pass, Role, guest_pass, link, owner_pass, rater_pass, sign, verify
from eval.console.charts import average_chart, scatter_chart, time_chart
from eval.console.cli import app
from eval.console.live import LiveEngine, decoding_name, generic_reply
from eval.console.pages import (
    agreement_rows,
    bubbles,
    choices_of,
    departure_lines,
    feedback,
    gap_rows,
    instructions,
    percent,
    plan_rows,
    raw_rows,
    spoken,
    system_rows,
    talk_rows,
)
from eval.console.words import LANGUAGES, say, words
from eval.ssa.assignment import answer, next_task
from eval.ssa.planning import Assumptions, plans
from eval.ssa.protocol import Answer, still_open
from eval.ssa.results import Results, results
from eval.ssa.studies import ChatSystem, StudySettings, join
from eval.ssa.tasks import Line
from tests.eval.ssa.makers import PLAIN, opened, study_with, talk
from tests.fakes import fake_engine

KEY = b"a key that is only for tests"


@pytest.mark.parametrize("what", [owner_pass(), rater_pass(3, 7), guest_pass(3)])
def test_a_link_says_what_was_signed(what: Pass) -> None:
    token = link("http://here:1/", KEY, what).removeprefix("http://here:1/?t=")
    assert verify(KEY, token) == what


@given(st.text(max_size=80), st.integers(0, 60), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_link_that_was_changed_anywhere_opens_nothing(junk: str, place: int, letter: str) -> None:
    token = sign(KEY, Pass(Role.RATER, 1, 2, 2**40))
    changed = token[:place] + letter + token[place + 1 :]
    for wrong in (junk, changed if changed != token else token + "x", token + "x", sign(b"other", owner_pass())):
        with pytest.raises(UserError, match="not valid"):
            verify(KEY, wrong)


def test_a_link_expires() -> None:
    with pytest.raises(UserError, match="expired"):
        verify(KEY, sign(KEY, Pass(Role.OWNER, expires_at=1)))


def test_a_token_holds_no_name() -> None:
    assert "ana" not in sign(KEY, rater_pass(1, 2))


def test_both_languages_have_the_same_words_and_blanks() -> None:
    assert set(words("en")) == set(words("ko"))
    for key in words("en"):
        blanks = [sorted(part.split("}")[0] for part in words(lang)[key].split("{")[1:]) for lang in LANGUAGES]
        assert blanks[0] == blanks[1], key
    assert say("progress", "ko", done=1, left=2) == "1개 완료, 2개 남음"


@given(st.text())
def test_what_people_said_never_becomes_markup(text: str) -> None:
    drawn = bubbles([Line("A", text), Line("B", f"<script>{text}", rated=True)], "en")
    assert "<script>" not in drawn
    assert drawn.count("<li") == 2
    assert drawn.count("cw-rated") == 1


def test_one_press_answers_both_questions_and_extras_are_yes_or_no() -> None:
    first = choices_of(still_open(("safe",), {}), "en")
    assert [choice.key for choice in first] == ["1", "2", "3"]
    assert [choice.labels for choice in first] == [a.labels() for a in Answer]
    then = choices_of(still_open(("safe",), {"sensible": 0}), "ko")
    assert [(choice.key, choice.text, choice.labels) for choice in then] == [
        ("1", "아니요", {"safe": 0}),
        ("2", "예", {"safe": 1}),
    ]


@pytest.mark.parametrize("kind", ["static", "interactive", "pairwise"])
@pytest.mark.parametrize("language", list(LANGUAGES))
def test_instructions_name_the_keys_and_every_question(kind: str, language: str) -> None:
    text = instructions(kind, replace(PLAIN, extras=("safe",)), language)
    assert "`u`" in text and "`s`" in text
    assert ("`3`" in text) is (kind != "pairwise")
    own = instructions(kind, replace(PLAIN, instructions={language: "Be kind."}), language)
    assert own.startswith("Be kind.")


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Results:
    with opened(f"sqlite:///{tmp_path_factory.mktemp('r') / 'r.sqlite3'}") as database:
        talks = [talk(i, system) for i in range(6) for system in ("Alpha", "Beta")]
        made = study_with(database, talks, replace(PLAIN, raters_per_item=2, extras=("safe",)))
        for number in range(2):
            rater = join(database, made.id, f"r{number}").id
            task = next_task(database, rater)
            while task is not None:
                labels = Answer(1 + (task.item_id + number) % 3).labels() | {"safe": task.item_id % 2}
                task = answer(database, rater, task.item_id, labels)
        return results(database, made.id, draws=20)


def test_tables_show_both_parts_beside_the_average_and_never_say_ssa_for_nothing(rated: Results) -> None:
    rows = system_rows(rated)
    assert [row["system"] for row in rows] == ["Alpha", "Beta"]
    assert {"SSA-like %", "sensible %", "specific %", "safe %"} <= set(rows[0])
    assert any("fewer than 5 raters" in line for line in departure_lines(rated))
    assert len(gap_rows(rated.gaps)) == 1
    assert {row["label"] for row in agreement_rows(rated)} == {"sensible", "specific", "safe"}
    assert set(raw_rows(rated)[0]) == {"system", "sensible", "specific", "safe"}
    assert "Alpha: SSA-like" in spoken(rated)
    assert percent(float("nan")) == percent(None) == "–"


def test_charts_carry_every_system_with_its_interval(rated: Results) -> None:
    rows = average_chart(rated)["data"]["values"]
    assert len(rows) == 6
    assert all(row["low"] <= row["mean"] <= row["high"] for row in rows)
    assert len(scatter_chart(rated)["data"]["values"]) == 2
    assert {row["system"] for row in time_chart(rated)["data"]["values"]} == {"Alpha", "Beta"}


def test_practice_feedback_says_why(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'r.sqlite3'}") as database:
        made = study_with(database, [talk(1)], replace(PLAIN, practice=True, language="ko"))
        task = next_task(database, join(database, made.id, "ana").id)
    assert task
    right, text = feedback(task, Answer.SPECIFIC.labels(), "ko")
    assert right and task.remark in text
    assert not feedback(task, Answer.NOT_SENSIBLE.labels(), "ko")[0]


def test_plans_and_imports_are_shown_before_anything_is_done() -> None:
    assert len(plan_rows(plans(Assumptions(difference=0.1)))) == 4
    (row,) = talk_rows([talk(1), talk(2)])
    assert (row["conversations"], row["replies"]) == (2, 4)


def test_the_control_answers_as_in_the_paper() -> None:
    assert generic_reply("How are you?", "en")[0] == "I don't know."
    assert generic_reply("Hi!", "en")[0] == "Okay."
    assert generic_reply("잘 지내요?", "ko")[0] == "잘 모르겠어요."


def test_the_real_engine_answers_synchronous_callers_and_says_how() -> None:
    live = LiveEngine(fake_engine, reply_timeout_s=20)
    try:
        said, facts = live.reply("chat-1", "rater", "Hi!", ChatSystem("one"))
        assert said == "You said: Hi! (1)"
        assert facts["model"] == "fake" and facts["decoding"] and facts["safety"] is True
        assert live.reply("chat-1", "rater", "More", ChatSystem("one"))[0] == "You said: More (3)"
        assert live.reply("chat-2", "rater", "Hi!", ChatSystem("one"))[0] == "You said: Hi! (1)"
    finally:
        live.close()


def test_a_decoding_has_one_name_whatever_its_seed() -> None:
    first, second = DecodingConfig(num_beams=4), DecodingConfig(num_beams=5)
    assert decoding_name(first) != decoding_name(second)
    assert decoding_name(first) == decoding_name(replace(first, seed=7))


def test_the_command_line_imports_invites_exports_and_reports(tmp_path: Path) -> None:
    run = CliRunner()
    database = ["--database", f"sqlite:///{tmp_path / 'r.sqlite3'}"]
    lines = tmp_path / "talks.jsonl"
    lines.write_text('{"id": "1", "context": ["Hi!"], "answers": {"x": "Yo", "y": "Hm"}}\n', encoding="utf-8")
    done = run.invoke(app, ["import", str(lines), "--study", "s", "--raters", "1", *database])
    assert "2 conversations with 2 replies" in done.output, done.output
    done = run.invoke(app, ["invite", "--study", "s", "--rater", "ana", *database])
    with opened(database[1]) as ratings:
        token = done.output.strip().split("?t=")[1]
        who = verify(ratings.signing_key, token)
        task = next_task(ratings, who.rater_id)
        while task is not None:
            task = answer(ratings, who.rater_id, task.item_id, {"sensible": 1, "specific": 1})
    out = tmp_path / "out.csv"
    assert "Written" in run.invoke(app, ["export", str(out), "--study", "s", *database]).output
    assert out.read_text(encoding="utf-8").count("\n") == 3
    assert isinstance(run.invoke(app, ["export", str(out), "--study", "s", *database]).exception, UserError)
    assert "SSA-like" in run.invoke(app, ["results", "--study", "s", *database]).output


def test_the_pages_know_no_streamlit() -> None:
    code = (
        "import sys, eval.console.pages, eval.console.charts, eval.console.access, eval.console.cli, eval.ssa.results\n"
        "print('streamlit' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_settings_read_back_from_json_keep_their_systems() -> None:
    wanted = StudySettings(systems=(ChatSystem("a", preset="beam"),), turns=(2, 4))
    assert StudySettings.from_json(wanted.to_json()) == wanted


def test_a_console_that_listens_everywhere_knows_its_name_and_asks_nobody_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("streamlit", reason="no Streamlit here (pip install 'chinwag[console]')")
    started: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, words: started.append(words))
    monkeypatch.setenv("CHINWAG_DATABASE_URL", "")
    where = ["--address", "0.0.0.0", "--url", "https://rate.example.org/x"]
    done = CliRunner().invoke(app, [*where, "--database", f"sqlite:///{tmp_path / 'r.sqlite3'}"])
    assert done.exit_code == 0, done.output
    (words,) = started
    assert "--browser.serverAddress=rate.example.org" in words and "--browser.gatherUsageStats=false" in words
