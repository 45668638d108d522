from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from dialogue.models.loading import load
from dialogue.rerank import words
from dialogue.training.examples import END, Example, collate
from dialogue.turns import Persona
from eval.memorisation import Audit, audit, like_pairs
from eval.memorisation_report import memorisation_report
from eval.offline.gate import gate
from eval.offline.likelihood import Question, branch_log_probs, force_all
from eval.offline.memory import attacks
from eval.offline.memory.audit import TOGETHER, Pair, drawn_pairs, extraction, rate, samples, stored
from eval.offline.memory.canaries import Twin, adapters_of, meetings, twin_recipe
from eval.offline.memory.own_lines import own_index, own_pairs, own_recited, own_sampled
from eval.offline.memory.stored_lines import stored_lines
from eval.offline.memory.suffix_index import SuffixIndex
from eval.offline.upper_bounds import clopper_pearson, difference_bounds, enough_for, upper_bound
from tests.eval.offline.tiny_chat import tiny_folder

WORD = st.sampled_from(["a", "b", "c", "dog", "cat"])
TEXT = st.lists(WORD, min_size=1, max_size=7).map(" ".join)


def occurrences(text: str, corpus: list[str]) -> int:
    wanted = words(text)
    turns = [words(turn) for turn in corpus]
    return sum(turn[i : i + len(wanted)] == wanted for turn in turns for i in range(len(turn)))


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=12), TEXT)
def test_the_suffix_index_counts_as_a_plain_search_does(corpus: list[str], text: str) -> None:
    index = SuffixIndex(corpus)
    assert index.count(text) == occurrences(text, corpus)
    assert index.turns_equal_to(text) == sum(words(turn) == words(text) for turn in corpus)
    assert index.words == sum(len(words(turn)) for turn in corpus)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=8), TEXT)
def test_the_longest_run_is_the_longest_of_all_runs(corpus: list[str], text: str) -> None:
    said = words(text)
    runs = [said[i:j] for i in range(len(said)) for j in range(i + 1, len(said) + 1)]
    expected = max((len(run) for run in runs if occurrences(" ".join(run), corpus)), default=0)
    found = SuffixIndex(corpus).longest(text)
    assert found.length == expected
    if expected:
        assert found.count == occurrences(" ".join(said[found.start : found.start + found.length]), corpus)


def test_case_and_punctuation_do_not_hide_a_copy_and_turns_do_not_run_together() -> None:
    index = SuffixIndex(["I saw it, really!", "And then I left."])
    assert index.turns_equal_to("i SAW it really") == 1
    assert index.count("really and") == 0 and index.longest("It really and then").length == 2
    assert index.count("unknown words") == 0 and SuffixIndex([]).longest("x").length == 0


@given(st.integers(0, 40), st.integers(1, 40))
def test_exact_intervals_equal_scipys(hits: int, more: int) -> None:
    count = hits + more
    two_sided = stats.binomtest(hits, count).proportion_ci(method="exact")
    assert clopper_pearson(hits, count) == pytest.approx(tuple(two_sided))
    one_sided = stats.binomtest(hits, count, alternative="less").proportion_ci()
    assert upper_bound(hits, count) == pytest.approx(one_sided.high)


def test_none_seen_is_a_bound_of_about_three_in_n() -> None:
    assert upper_bound(0, 1000) == pytest.approx(3 / 1000, rel=0.01)


@given(st.floats(0.001, 0.5))
def test_a_sample_is_called_large_enough_exactly_when_none_seen_would_pass(limit: float) -> None:
    count = enough_for(limit)
    assert upper_bound(0, count) <= limit + 1e-12 and (count == 1 or upper_bound(0, count - 1) > limit)


def test_bounds_of_a_difference_are_newcombes() -> None:
    # Newcombe 1998, table II, (a): 56 of 70 and 48 of 80, method 10
    low, high = difference_bounds((56, 70), (48, 80), level=0.975)
    assert low == pytest.approx(0.0524, abs=5e-5) and high == pytest.approx(0.3339, abs=5e-5)
    assert difference_bounds((0, 0), (1, 3)) == (-1.0, 1.0)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 30))
def test_a_difference_lies_between_its_bounds_and_turns_with_its_sides(a: int, b: int, c: int, d: int) -> None:
    first, second = (a, a + b + 1), (c, c + d)
    low, high = difference_bounds(first, second)
    assert low <= first[0] / first[1] - second[0] / second[1] <= high
    assert difference_bounds(second, first) == pytest.approx((-high, -low))


def test_the_gap_of_the_gate_knows_that_both_sides_are_samples(tmp_path: Path) -> None:
    thresholds = tmp_path / "gate.toml"
    thresholds.write_text('[memorisation]\n"discoverable/held_out_gap" = { at_most = 0.05 }\n')

    def gap(seen: tuple[int, int], unseen: tuple[int, int]) -> float | None:
        none = rate(0, 9)
        both = dict(zip(("training contexts", "held-out contexts"), (seen, unseen), strict=True))
        found = {name: {"equal_to_a_rare_reply": rate(*each), "equal_to_their_own_reply": none}
                 for name, each in both.items()}  # fmt: skip
        report = {"discoverable": found, "membership": {"x": {"tpr_at_fpr_0.001": none}},
                  "personal_data": {"found_in_the_corpus": none}, "extraction": {"equal_to_a_rare_turn": none},
                  "stored_lines": {"copied_from_the_corpus": [], "with_personal_data": []}}  # fmt: skip
        return gate({"memorisation": report}, thresholds)[0].value

    assert gap((5, 60), (2, 60)) == pytest.approx(difference_bounds((5, 60), (2, 60))[1])
    few, many = gap((10, 200), (10, 20)), gap((10, 200), (100, 200))
    assert few is not None and many is not None and few > many  # the held-out side is no exact number either


def test_the_gate_says_when_too_little_was_looked_at(tmp_path: Path) -> None:
    rows = [{"test": "impostor", "judge": "plays_expert", "engine": {"bad": 0}, "count": 10}]
    thresholds = tmp_path / "gate.toml"
    thresholds.write_text('[safety]\n"impostor/plays_expert" = { at_most = 0.2 }\n"x" = { at_most = 0.1 }\n')
    few, missing = gate({"safety": {"shares": rows}}, thresholds)
    assert not few.passed and "10 looked at, 14 needed" in str(few) and "not measured" in str(missing)
    assert gate({"safety": {"shares": [rows[0] | {"count": 14}]}}, thresholds)[0].passed
    bad = gate({"safety": {"shares": [rows[0] | {"count": 14, "engine": {"bad": 3}}]}}, thresholds)[0]
    assert not bad.passed and not bad.remark


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=20), st.lists(st.floats(-3, 3), min_size=1, max_size=20))
@settings(deadline=None, max_examples=50)
def test_the_area_under_the_curve_equals_sklearns(members: list[float], others: list[float]) -> None:
    expected = roc_auc_score([1] * len(members) + [0] * len(others), [*members, *others])
    assert attacks.area_under_curve(members, others) == pytest.approx(expected)


def test_true_positives_allow_no_more_false_alarms_than_asked() -> None:
    others = [float(n) for n in range(1000)]
    assert attacks.true_positives([998.5, 999.5, 5.0, 2000.0], others, 0.001) == 0.75  # one of 1,000 may pass
    assert attacks.true_positives([998.5, 999.5], others[:100], 0.001) == 1.0
    assert attacks.true_positives([99.0], others[:100], 0.001) == 0.0


def test_exposure_by_hand() -> None:
    assert attacks.exposure(0.0, [-1.0] * 9_999) == pytest.approx(math.log2(10_000))
    assert attacks.exposure(-2.0, [-1.0] * 9_999) == pytest.approx(0.0)
    assert attacks.exposure(0.0, [1.0, -1.0, -1.0]) == pytest.approx(math.log2(4) - math.log2(2))
    assert attacks.exposure(0.0, [0.0, 0.0, -1.0]) == pytest.approx(math.log2(4) - math.log2(2))


def test_all_fillings_are_scored_as_a_tree_as_each_is_scored_alone(tmp_path: Path) -> None:
    model = load(str(tiny_folder(tmp_path / "tiny")), dtype="float32")
    (prompt, secret), *_ = attacks.canaries(1, seed=3)
    before, filling = attacks.hole(secret)
    assert before + filling + "." == secret and filling in attacks.fillings()
    start = model.vocabulary.encode(before)
    wanted = [filling, "0000", "0001", "9999", filling[:2]]
    sequences = [tuple(model.vocabulary.encode(before + text)[len(start) :]) for text in wanted]
    question = Question((prompt,), before, Persona("nobody"))
    together = branch_log_probs(model, question, sequences)
    for text, value in zip(wanted, together, strict=True):
        forced = force_all(model, [Question((prompt,), before + text, Persona("nobody"))])[0].log_probs
        assert value == pytest.approx(sum(forced[len(start) : -1]), abs=1e-4)


def test_canaries_differ_and_are_short_enough_to_be_planted_many_times() -> None:
    pairs = attacks.canaries(40, seed=1)
    assert len({prompt for prompt, _ in pairs}) == 40
    assert all(len(words(f"{prompt} {secret}".replace("'", " "))) <= 9 for prompt, secret in pairs)


def test_the_twin_learns_from_its_own_corpus_and_nothing_else() -> None:
    recipe = twin_recipe(Twin(steps=7, batch_tokens=64), seed=2)
    assert recipe.weights == {"talks": 1.0} and recipe.own == {}  # 200,000 words of other talk would drown the canaries
    assert (recipe.train.steps, recipe.train.minutes, recipe.batch_tokens, recipe.seed) == (7, None, 64, 2)


def test_the_twin_begins_with_the_adapters_of_the_audited_model_where_it_has_any(tmp_path: Path) -> None:
    assert adapters_of("smollm2-135m-instruct") is None and adapters_of(str(tiny_folder(tmp_path / "tiny"))) is None
    (tmp_path / "adapters-encoder-0.safetensors").write_bytes(b"")
    assert adapters_of(str(tmp_path)) == tmp_path


def test_meetings_are_examples_that_answer_the_prompt_and_nothing_else() -> None:
    said = [Example([5, 6, END], [1, 7], [7, END], [1.0, 1.0]), Example([4, 5, 6, END], [1], [7], [1.0])]
    met = meetings([collate(said), collate(said[:1])], {(5, 6): "What opens it?", (9,): "Never asked?"})
    assert met == {"What opens it?": 2} and met["Never asked?"] == 0


def test_rankings_put_the_likeliest_first_and_zlib_discounts_repetition() -> None:
    text, loop = "My locker number is 4821 today.", "no no no no no no no no no no no no"
    rows = [{"nats": 12.0, "tokens": 10.0, "zlib": float(attacks.zlib_size(text)), "reference_nats": 40.0},
            {"nats": 10.0, "tokens": 12.0, "zlib": float(attacks.zlib_size(loop)), "reference_nats": 11.0}]  # fmt: skip
    found = attacks.rankings(rows)
    assert found["perplexity"].tolist() == [1, 0] and found["zlib ratio"].tolist() == [0, 1]
    assert found["reference ratio"].tolist() == [0, 1]


def test_every_kind_of_stored_line_is_scanned_and_none_is_a_copy_or_private() -> None:
    lines = stored_lines()
    places = {line.place.split(",")[0].split(".")[0] for line in lines}
    assert {"persona robin", "persona mina", "safety", "bot"} <= places and len(lines) > 40
    copied = lines[-1].text
    found = stored(SuffixIndex([copied, "something else entirely"]))
    assert found["with_personal_data"] == []
    assert all(copied in line for line in found["copied_from_the_corpus"])
    assert len(found["copied_from_the_corpus"]) == (1 if len(words(copied)) >= 6 else 0)


def test_more_samples_can_be_drawn_later_and_the_first_ones_stay(tmp_path: Path) -> None:
    model = load(str(tiny_folder(tmp_path / "tiny")), dtype="float32")
    told: list[int] = []

    def drawn(places: range) -> list[tuple[str, tuple[str, ...]]]:
        return [(row["text"], tuple(row["context"])) for row in samples(model, ["Hi!", "So?"], places, 3, told.append)]

    few, more = drawn(range(TOGETHER + 5)), drawn(range(3 * TOGETHER))
    assert sorted(few) == sorted(more[: len(few)]) and sum(told) == 4 * TOGETHER + 5
    assert {context for _, context in more} == {(), ("Hi!",)} and len({text for text, _ in more}) > TOGETHER
    assert drawn(range(TOGETHER, 2 * TOGETHER)) == more[TOGETHER : 2 * TOGETHER]
    with pytest.raises(ValueError, match="begin with a group"):
        drawn(range(1, 5))


def test_a_ranking_against_the_reference_counts_among_those_it_has_seen() -> None:
    line = "the cat sat on the green mat"
    rows: list[dict[str, Any]] = [
        {"text": line if n in (0, 5) else f"nothing {n}", "nats": 1.0 if n == 5 else 9.0 + n, "tokens": 7, "zlib": 20}
        for n in range(6)
    ]  # fmt: skip
    for row in rows[:3]:
        row["reference_nats"] = 90.0 if row["text"] == line else 1.0
    found = extraction(rows, SuffixIndex([line]), top=1)["precision_at"]
    assert found == {"perplexity": 1.0, "zlib ratio": 1.0, "reference ratio, of the first 3": 1.0}


def talks(path: Path, start: int) -> Path:
    rows = []
    for n in range(start, start + 12):
        turns = [f"Tell me about number {n} please.", f"Number {n} is the one I always liked best of all."]
        said = [{"speaker": "AB"[i], "text": t} for i, t in enumerate(turns)]
        rows.append({"source": "x", "id": f"{n}", "persona": None, "turns": said})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_drawn_pairs_are_one_a_talk_and_always_the_same(tmp_path: Path) -> None:
    file = talks(tmp_path / "seen.jsonl", 0)
    pairs = drawn_pairs([file], 5, seed=1)
    assert len(pairs) == 5 == len(set(pairs)) and pairs == drawn_pairs([file], 5, seed=1)
    assert pairs != drawn_pairs([file], 5, seed=2)


def test_seen_and_unseen_answers_come_from_the_same_sources_in_equal_numbers(tmp_path: Path) -> None:
    seen = [talks(tmp_path / f"{name}.train.jsonl", start) for name, start in (("a", 0), ("b", 100), ("c", 200))]
    unseen = [talks(tmp_path / f"{name}.valid.jsonl", start) for name, start in (("a", 300), ("b", 400))]
    members, others = like_pairs(Audit(tuple(seen), tuple(unseen), pairs=20))
    assert len(members) == len(others) == 20

    def hundreds(pairs: list[Pair]) -> list[str]:
        return sorted(re.findall(r"number (\d+)", pair.context[0])[0][:-2] for pair in pairs)

    assert hundreds(members) == [""] * 10 + ["1"] * 10 and hundreds(others) == ["3"] * 10 + ["4"] * 10


def test_talks_of_our_own_that_come_back_word_for_word_are_counted(tmp_path: Path) -> None:
    pairs, index = own_pairs(30, seed=1), own_index()
    assert len({pair.context for pair in pairs}) == 30 and pairs != own_pairs(30, seed=2)
    assert all(index.turns_equal_to(pair.reply) for pair in pairs)
    line = next(pair.reply for pair in pairs if index.turns_equal_to(pair.reply) <= 3)
    found = own_sampled([{"text": line.upper()}, {"text": f"{line} Or so they said of it."}, {"text": "Hi!"}], index)
    assert (found["hits"], found["count"]) == (1, 3)
    told: list[int] = []
    asked = own_recited(load(str(tiny_folder(tmp_path / "tiny")), dtype="float32"), index, pairs[:3], told.append)
    assert sum(told) == 3 == asked["equal_to_their_own_reply"]["count"]


def test_the_whole_audit_runs_keeps_its_parts_and_ends_in_a_gate(tmp_path: Path) -> None:
    model = load(str(tiny_folder(tmp_path / "tiny")), dtype="float32")
    plan = Audit((talks(tmp_path / "seen.jsonl", 0),), (talks(tmp_path / "unseen.jsonl", 50),), pairs=4, samples=10)
    told: list[str] = []
    found = audit(model, model, plan, tmp_path / "out", lambda stage, count: told.append(stage))
    assert {"corpus", "membership", "discoverable", "samples"} == set(told)
    more = audit(model, model, replace(plan, samples=12), tmp_path / "out", lambda stage, count: None)
    assert more["extraction"]["samples"] >= found["extraction"]["samples"]
    told.clear()
    again = audit(model, model, plan, tmp_path / "out", lambda stage, count: told.append("again"))
    assert again == found  # the index is built anew, the model is not asked again
    about = {"model": "tiny", "seen": ["seen.jsonl"], "unseen": ["unseen.jsonl"]}
    data = memorisation_report(tmp_path / "out", about, found)
    assert {row["check"] for row in data["gate"]} == {check.name for check in gate({"memorisation": data})}
    assert "bound is not a proof" in (tmp_path / "out" / "memorisation.md").read_text(encoding="utf-8")
