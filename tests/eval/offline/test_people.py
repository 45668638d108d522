"""Human ratings, correlations and the automatic SSA."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dialogue.errors import UserError
from eval.offline import autossa, autossa_exam
from eval.offline.bootstrap import resampled
from eval.offline.correlate import Sample, judge, rated_files, sampled
from eval.offline.correlation import Judged, correlations, rank_draws, spearman
from eval.offline.correlation_report import perplexity_and_ssa
from eval.offline.ratings import Exchange, Rated, read_ratings
from eval.offline.reply_scores import surface
from eval.offline.word_meaning import WordMeaning

FED = {
    "id": "f1", "level": "turn", "system": "Meena", "response": "Nice!",
    "turns": [
        {"speaker": "user", "text": "Hi!"}, {"speaker": "system", "text": "Hey!"}, {"speaker": "user", "text": "I won"},
    ],
    "annotations": {"Specific": [0, 2], "Relevant": [2, 2], "Semantically appropriate": [2, 1], "Overall": [3, 4],
                    "Correct": ["N/A", 2]},
}  # fmt: skip
FORMS: list[tuple[dict[str, Any], str, str, dict[str, float]]] = [
    (
        FED, "fed_reply", "reply",
        {"Specific": 1, "Relevant": 2, "Overall": 3.5, "Correct": 2, "SSA": (3.5 / 4 + 0.5) / 2},
    ),
    (
        {"id": "f2", "level": "dialogue", "system": "Meena", "turns": FED["turns"], "annotations": {"Overall": [1, 2]}},
        "fed_talk", "talk", {"Overall": 1.5},
    ),
    (
        {"id": "g", "dataset": "d", "model": "m", "context": ["a", "b"], "response": "c",
         "coherence_scores_1_to_5": [1, 4]},
        "grade", "reply", {"Coherence": 2.5},
    ),
    (
        {"id": "m", "model": "human", "context": ["a"], "response": "c", "rating_mean_1_to_5": 4.2,
         "references": ["d"]},
        "dailydialog_ratings", "reply", {"Overall": 4.2},
    ),
    ({"id": "d", "turns": ["a", "b", "c", "d"], "overall_mean_1_to_5": 2}, "dstc9", "talk", {"Overall": 2.0}),
    (
        {"id": "c", "system": "Bot 1", "bot_profile": ["i sing."], "score_1_to_5": 4,
         "turns": [{"speaker": "Human", "text": "x"}, {"speaker": "Bot", "text": "y"}]},
        "convai2018", "talk", {"Score": 4.0},
    ),
]  # fmt: skip


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(("row", "dataset", "level", "labels"), FORMS, ids=[form[1] for form in FORMS])
def test_every_data_set_is_read_in_its_own_form(
    tmp_path: Path, row: dict[str, Any], dataset: str, level: str, labels: dict[str, float]
) -> None:
    rated = read_ratings(written(tmp_path / "r.jsonl", [row]))[0]
    assert (rated.dataset, rated.level) == (dataset, level) and rated.main in rated.labels
    assert {name: rated.labels[name] for name in labels} == pytest.approx(labels)
    assert rated.exchanges and all(exchange.context and exchange.reply for exchange in rated.exchanges)


def test_hulic_turns_keep_the_talk_before_them(tmp_path: Path) -> None:
    rows = [
        {"id": f"B-{n}", "system": "B", "conversation": 1, "turn": n, "question": f"q{n}", "answer": f"a{n}",
         "sensible": [1, 0], "specific": [1, 1], "humanlike": [0, 0]} for n in range(3)
    ]  # fmt: skip
    found = read_ratings(written(tmp_path / "ko_hulic_ratings.jsonl", rows))
    assert [rated.labels["SSA"] for rated in found] == [0.75] * 3 and {rated.group for rated in found} == {"B-1"}
    assert found[2].exchanges[0].context == ("q0", "a0", "q1", "a1", "q2") and found[0].language == "ko"


def test_a_row_of_no_known_form_is_told_with_its_place(tmp_path: Path) -> None:
    path = written(tmp_path / "r.jsonl", [FED, {"id": "x", "blue": 1}])
    with pytest.raises(UserError, match=r"r\.jsonl, row 2: no known form"):
        read_ratings(path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match="no file with human ratings"):
        rated_files(tmp_path / "nothing")


LABELS = {"grade": ["Coherence"], "fed_reply": ["Semantically appropriate", "Relevant", "Specific", "SSA"],
          "dailydialog_ratings": ["Overall"]}  # fmt: skip


def made(count: int, dataset: str, slope: float, seed: int) -> list[Judged]:
    """Replies whose labels follow one score of each head, with noise; the other scores are noise."""
    rng = np.random.default_rng(seed)
    found = []
    for n in range(count):
        scores = {name: float(rng.normal()) for name in autossa_exam.SINGLES}
        parts = [slope * scores[name] + float(rng.normal(scale=0.6)) for name in ("pmi", "log_length")]
        sensible, specific = (1 / (1 + np.exp(-part)) for part in parts)
        values = {"Coherence": 1 + 4 * sensible, "Overall": 1 + 4 * sensible, "Semantically appropriate": 2 * sensible,
                  "Relevant": 2 * sensible, "Specific": 2 * specific, "SSA": (sensible + specific) / 2}  # fmt: skip
        labels = {name: float(values[name]) for name in LABELS[dataset]}
        exchange = (Exchange(("c",), "r"),)
        rated = Rated(f"{n}", dataset, "reply", "s", f"g{n}", exchange, labels, LABELS[dataset][0])
        found.append(Judged(rated, scores))
    return found


def test_coefficients_equal_scipys() -> None:
    judged = made(60, "grade", 1.0, 1)
    rows = {row["metric"]: row for row in correlations(judged, resamples=100)}
    x = np.array([each.scores["pmi"] for each in judged])
    y = np.array([each.rated.labels["Coherence"] for each in judged])
    assert rows["pmi"]["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert rows["pmi"]["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic)
    assert rows["pmi"]["kendall"] == pytest.approx(stats.kendalltau(x, y).statistic)
    assert rows["pmi"]["p"] == pytest.approx(stats.spearmanr(x, y).pvalue)
    assert rows["pmi"]["low"] < rows["pmi"]["spearman"] < rows["pmi"]["high"]
    assert rows["pmi"]["p_holm"] >= rows["pmi"]["p"]


def test_own_spearman_handles_ties_as_scipy_does() -> None:
    x, y = np.array([1.0, 2, 2, 3, 5, 5]), np.array([2.0, 1, 2, 2, 4, 9])
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)


def test_a_score_that_never_changes_is_no_number_and_no_error() -> None:
    judged = [Judged(each.rated, {"constant": 1.0}) for each in made(20, "grade", 1.0, 2)]
    assert correlations(judged, resamples=50)[0]["spearman"] is None


def test_automatic_ssa_learns_what_no_single_score_tells_and_reports_its_gain() -> None:
    judged = made(160, "grade", 1.0, 3) + made(160, "fed_reply", 1.0, 4) + made(90, "dailydialog_ratings", 1.0, 9)
    found = autossa_exam.examined(judged, resamples=60)
    rows = {row["dataset"]: row for row in found["held_out_half"]}
    assert set(rows) == {"grade", "fed_reply", "dailydialog_ratings"} == {r["dataset"] for r in found["left_out_set"]}
    assert rows["fed_reply"]["spearman"] > rows["fed_reply"]["hindsight"]["spearman"]
    assert rows["fed_reply"]["hindsight"]["low"] > 0
    assert all(row["low"] <= row["spearman"] <= row["high"] for row in found["held_out_half"])
    against = {row["metric"]: row for row in found["against_singles"]}
    assert set(against) == set(autossa_exam.SINGLES) and against["near_context"]["low"] > 0


def test_automatic_ssa_finds_nothing_where_there_is_nothing() -> None:
    row = autossa_exam.examined(made(200, "grade", 0.0, 5), resamples=60)["held_out_half"][0]
    assert row["low"] < 0 < row["high"]


def test_automatic_ssa_is_on_the_scale_of_ssa_and_survives_its_file() -> None:
    judged = made(160, "fed_reply", 1.0, 7)
    model = autossa.fit(judged)
    assert model is not None
    scores = [each.scores for each in judged]
    truth = np.array([autossa.target(each) for each in judged])
    assert float(model(scores).mean()) == pytest.approx(float(truth.mean()), abs=0.02)
    assert float(np.corrcoef(model(scores), truth)[0, 1]) > 0.6
    again = autossa.restored(json.loads(json.dumps(asdict(model))))
    assert again(scores).tolist() == model(scores).tolist()


def test_a_head_without_its_scores_says_nothing() -> None:
    model = autossa.fit(made(160, "fed_reply", 1.0, 8))
    assert model is not None and model.sensible([{"log_length": 1.0}]).tolist() == [0.0]


def test_resampled_ranks_give_the_interval_that_ranking_every_resample_gives() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    y, groups = x + rng.normal(size=200), [f"{n // 2}" for n in range(200)]
    fast = rank_draws(x, y, groups, times=400, seed=1)
    slow = resampled(groups, lambda rows: spearman(x[rows], y[rows]), times=400, seed=1)
    assert np.abs(fast - slow).mean() < 0.01
    assert np.quantile(fast, [0.025, 0.975]) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.02)
    assert np.isnan(rank_draws(x, np.ones(200), groups, times=3, seed=1)).all()


def test_no_context_is_on_both_sides() -> None:
    judged = made(60, "grade", 1.0, 6)
    side = autossa_exam.first_half
    sides = {each.rated.group: side(each) for each in judged}
    assert all(side(each) == sides[each.rated.group] for each in judged) and len(set(sides.values())) == 2


def test_scores_are_kept_and_a_stopped_scoring_goes_on(tmp_path: Path) -> None:
    rows = [{**FORMS[2][0], "id": f"g{n}", "response": f"reply {n} here"} for n in range(40)]
    rated = sampled(rated_files(_folder(tmp_path / "data", rows)), Sample(per_set=0, talks_per_set=0))
    first = judge(rated, None, None, tmp_path / "out")
    lines = (tmp_path / "out" / "scores.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "out" / "scores.jsonl").write_text("".join(lines[:21]) + lines[21][:9])
    assert judge(rated, None, None, tmp_path / "out") == first


def _folder(folder: Path, rows: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    written(folder / "grade.jsonl", rows)
    written(folder / "plain.jsonl", [{"id": 1, "context": ["no ratings here"]}])
    return folder


def test_surface_scores_of_a_reply() -> None:
    found = surface(Exchange(("Do you like cats?",), "Do you like cats?"))
    assert found["context_copying"] == 1.0 and found["f1_with_last_turn"] == 1.0 and found["question_rate"] == 1.0


def test_near_meanings_have_near_vectors() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 8)).astype(np.float32)
    words = {"cat": 0, "dog": 1, "car": 2, "the": 3, "runs": 4, "stops": 5}
    table[1] = table[0] + 0.1 * table[1]
    corpus = ["the cat runs", "the dog runs", "the car stops", "the car runs"] * 5
    meaning = WordMeaning(table, lambda text: [words[w] for w in text.split()], corpus)
    cat, dog, car, nothing = (np.array(v) for v in meaning(["cat", "dog", "car", ""]))
    assert cat @ dog > cat @ car and np.isfinite(nothing).all()


def test_perplexity_against_ssa_tells_checkpoints_of_one_model_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {"first": ("ours", 80.0, 0.2), "second": ("ours", 40.0, 0.4), "raw": ("base", 160.0, 0.0)}

    def point(folder: Path, model: Any, regressor: Any) -> dict[str, Any]:
        run, perplexity, ssa = seen[folder.name]
        return {"run": run, "perplexity_per_word": perplexity, "automatic_ssa": ssa, "count": 9}

    monkeypatch.setattr("eval.offline.correlation_report._point", point)
    model: Any = None
    found = perplexity_and_ssa([tmp_path / name for name in seen], model, {})
    assert [row["run"] for row in found["runs"]] == ["ours (first)", "ours (second)", "base"]
    assert found["r_squared"] == pytest.approx(1.0)  # a fifth more for every halving
    assert perplexity_and_ssa([tmp_path / "first", tmp_path / "raw"], model, {})["r_squared"] is None
