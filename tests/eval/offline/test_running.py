from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dialogue.errors import UserError
from dialogue.models.chat_model import ChatModel
from dialogue.models.loading import load
from dialogue.turns import Persona
from eval.offline.answerer import Work
from eval.offline.compare import compare_runs
from eval.offline.gate import gate
from eval.offline.likelihood import Question, context_ids, likelihoods, reply_ids
from eval.offline.run_report import report_run
from eval.offline.runner import Plan, run
from eval.offline.suite import Loaded, Suite, load_items, load_suite, suite_names
from eval.offline.tracking import Tracking
from tests.eval.offline.tiny_chat import tiny_folder

NOBODY = Persona("nobody")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def model(folder: Path) -> ChatModel:
    return load(str(folder), dtype="float32")


def contexts(path: Path, count: int = 40) -> Path:
    rows: list[dict[str, Any]] = []
    for n in range(count):
        context = [f"Hello number {n}!", "Hi.", "How are you?"][: 1 + 2 * (n % 2)]
        row = {"id": n, "context": context, "references": ["Fine, thanks.", "Ok!"]}
        rows.append(row | ({"negatives": ["Blue."]} if n % 4 == 0 else {}))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def suite_and_items(tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Loaded]:
    suite = replace(load_suite("smoke"), resamples=50)
    return suite, load_items(suite, None, [contexts(tmp_path_factory.mktemp("data") / "mine.jsonl")])


def plan(folder: Path, suite_and_items: tuple[Suite, Loaded], out: Path, **changes: Any) -> Plan:
    suite, found = suite_and_items
    settings = {"model": str(folder), "dtype": "float32", "threads": 1, "preset": "topk"}
    work = Work(settings, "robin", "topk", changes.pop("seed", 0), 1, True, {"max_length": 6})
    return Plan(suite, found.items, found.hashes, work, out, **changes)


def done(plan: Plan) -> dict[str, Any]:
    return run(plan, lambda stage, count: None, lambda line: None)


def replies(out: Path) -> list[tuple[Any, str]]:
    rows = [json.loads(line) for line in (out / "replies.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["id"], row["reply"]) for row in rows]


def scores(out: Path) -> list[Any]:
    return [json.loads(line) for line in (out / "likelihood.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def finished(folder: Path, suite_and_items: tuple[Suite, Loaded], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    made = done(plan(folder, suite_and_items, out))
    report_run(out, suite_and_items[0], made, Tracking())
    return out


def test_a_likelihood_equals_the_models_own_steps_one_by_one(model: ChatModel) -> None:
    import torch

    question = Question(("Hello!",), "Hi you.", NOBODY)
    found = likelihoods(model, [question, Question(("A", "B", "C"), "Nothing", NOBODY)], alone=True)[0]
    ids, nats, right = reply_ids(model, question.reply), 0.0, 0
    context = torch.tensor([context_ids(model, question)])
    state, last = model.seq2seq.encode(context, torch.ones_like(context)), model.start_id
    for token in ids:
        log_probs, state = model.seq2seq.step(torch.tensor([last]), state)
        nats, right, last = nats - float(log_probs[0, token]), right + int(log_probs[0].argmax() == token), token
    assert found.nats == pytest.approx(nats, rel=1e-4) and found.right == right
    assert (found.tokens, found.words, found.size) == (len(ids), 2, 7)
    assert math.isfinite(found.alone) and found.alone != pytest.approx(found.nats)


def test_a_likelihood_does_not_depend_on_its_neighbours(model: ChatModel) -> None:
    questions = [
        Question((f"Say {n}", "yes", "no")[: 1 + 2 * (n % 2)], "word " * (1 + n % 5), NOBODY) for n in range(23)
    ]
    together = likelihoods(model, questions)
    alone = [likelihoods(model, [question])[0] for question in questions]
    assert [each.nats for each in together] == pytest.approx([each.nats for each in alone], rel=1e-4)


def test_two_runs_with_one_seed_give_the_same_numbers(
    folder: Path, suite_and_items: tuple[Suite, Loaded], finished: Path, tmp_path: Path
) -> None:
    made = done(plan(folder, suite_and_items, tmp_path))
    again = report_run(tmp_path, suite_and_items[0], made, Tracking())
    first = json.loads((finished / "report.json").read_text(encoding="utf-8"))
    assert replies(tmp_path) == replies(finished)
    for name, metric in first["metrics"].items():
        if name != "seconds":
            assert again["metrics"][name] == metric, name


def test_two_workers_give_the_same_replies_and_likelihoods_as_one(
    folder: Path, suite_and_items: tuple[Suite, Loaded], finished: Path, tmp_path: Path
) -> None:
    done(plan(folder, suite_and_items, tmp_path, workers=2))
    assert replies(tmp_path) == replies(finished)
    for one, two in zip(scores(tmp_path), scores(finished), strict=True):
        assert [r["nats"] for r in one["references"]] == pytest.approx([r["nats"] for r in two["references"]], rel=1e-5)


def test_a_stopped_run_goes_on_and_ends_up_the_same(
    folder: Path, suite_and_items: tuple[Suite, Loaded], finished: Path, tmp_path: Path
) -> None:
    seen: list[int] = []

    def stop(stage: str, count: int) -> None:
        seen.append(count)
        if len(seen) > 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(plan(folder, suite_and_items, tmp_path), stop, lambda line: None)
    kept = len(replies(tmp_path))
    assert 0 < kept < 40
    with (tmp_path / "replies.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": 99, "re')  # killed in the middle of a line
    done(plan(folder, suite_and_items, tmp_path))
    assert replies(tmp_path) == replies(finished)


def test_a_folder_of_another_run_is_refused(
    folder: Path, suite_and_items: tuple[Suite, Loaded], finished: Path
) -> None:
    with pytest.raises(UserError, match="begun with other settings"):
        done(plan(folder, suite_and_items, finished, seed=7))


def test_the_report_has_every_number_with_its_interval_and_where_it_came_from(finished: Path) -> None:
    data = json.loads((finished / "report.json").read_text(encoding="utf-8"))
    assert data["schema"] == "chinwag.evaluation/1" and data["counts"]["replies"] == 40
    assert set(data["provenance"]) >= {"commit", "versions", "machine", "finished", "python"}
    assert len(data["data_sha256"]["mine.jsonl"]) == 64 and data["made_by"]["seed"] == 0
    for metric in data["metrics"].values():
        assert set(metric["overall"]) == {"value", "low", "high", "count", "groups"}
        assert metric["source"] and metric["what"]
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "") and "<script" not in page and "src=" not in page
    assert "distinct_2" in (finished / "report.md").read_text(encoding="utf-8")


def test_texts_in_a_page_are_escaped() -> None:
    from eval.report import Talk, page

    assert "<b>x" not in page("t", [Talk("<b>x", [("a", "<script>alert(1)</script>")])]).replace("<b>&lt;", "")
    assert "<script>" not in page("t", [Talk("a", [("a", "<script>alert(1)</script>")])])


def test_a_comparison_pairs_the_same_contexts(
    folder: Path, suite_and_items: tuple[Suite, Loaded], finished: Path, tmp_path: Path
) -> None:
    done(plan(folder, suite_and_items, tmp_path / "other", seed=5))
    data = compare_runs(finished, tmp_path / "other", tmp_path / "out", resamples=100)
    assert data["items"] == 40 and len(set(data["systems"])) == 2
    assert "f1" in data["metrics"] and "perplexity_per_token" not in data["metrics"]  # one model: only replies differ
    pairs = [json.loads(line) for line in (tmp_path / "out" / "pairs.jsonl").read_text().splitlines()]
    assert pairs and set(pairs[0]["answers"]) == set(data["systems"])
    same = compare_runs(finished, finished, tmp_path / "same", resamples=50)
    assert all(row["difference"]["value"] == 0 for row in same["metrics"].values())


def test_the_gate_closes_on_a_bad_number_and_on_a_missing_one(finished: Path, tmp_path: Path) -> None:
    thresholds = tmp_path / "gate.toml"
    thresholds.write_text(
        "[run]\nlength_words = { at_least = 1000 }\nbleu = { at_most = 101 }\nno_such_thing = { at_most = 1 }\n"
    )
    report = json.loads((finished / "report.json").read_text(encoding="utf-8"))
    assert [check.passed for check in gate({"run": report}, thresholds)] == [False, True, False]


@pytest.mark.parametrize("name", suite_names())
def test_every_shipped_suite_is_sound(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name and suite.about and suite.sources


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name = ", "cannot be read"),
        ("[[sources]]\n", "without a file"),
        ('metrics = ["blue"]\n[[sources]]\nfile = "x"', "bleu"),
        ('sores = 1\n[[sources]]\nfile = "x"', "no suite field in own.toml 'sores'"),
        ('score = "all"\n[[sources]]\nfile = "x"', "needs int"),
        ('[[sources]]\nfile = "nowhere.jsonl"', "nowhere.jsonl, not found because no --data folder was given"),
    ],
)
def test_a_wrong_suite_says_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        load_items(load_suite(str(path)), None)
