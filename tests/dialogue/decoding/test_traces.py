"""Searches computed by hand, step by step; the arithmetic is in the golden files. No model is involved."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dialogue.candidates import Hypothesis
from dialogue.decoding.beam import NEVER, Beam
from dialogue.decoding.beam_variants import DelayedBeam, DiverseBeam
from dialogue.decoding.config import DecodingConfig, LengthPenalty, Strategy
from dialogue.decoding.constraints import rules_for
from dialogue.decoding.request import DecodingRequest
from dialogue.decoding.sampling import Sampler

GOLDEN = Path(__file__).parents[2] / "golden" / "decoding"
SEARCHES: dict[Strategy, type[Beam] | type[Sampler]] = {
    Strategy.BEAM: Beam,
    Strategy.DIVERSE_BEAM: DiverseBeam,
    Strategy.DELAYED_BEAM: DelayedBeam,
}
START, EOS = 0, 1

Scored = list[tuple[str, float]]


class Trace:
    """One golden file: the search it describes, and its steps."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.golden = tomllib.load(file)
        self.words: list[str] = self.golden["vocabulary"]
        options: dict[str, Any] = self.golden["config"]
        options["strategy"] = Strategy(options["strategy"])
        options["length_penalty_kind"] = LengthPenalty(options.get("length_penalty_kind", "plain"))
        self.search = self._search(DecodingConfig(**options))

    def _search(self, config: DecodingConfig) -> Beam | Sampler:
        request = DecodingRequest(id=0, input_ids=(0,), config=config.with_(seed=0))
        build = SEARCHES.get(config.strategy, Sampler)
        search = build(config, [request], rules_for(config, EOS), START, EOS, torch.device("cpu"))
        if "numbers" in self.golden:
            numbers = torch.tensor(self.golden["numbers"], dtype=torch.double)
            if isinstance(search, Beam):
                search.beams = replace(search.beams, uniforms=numbers[None])
            else:
                search.table = replace(search.table, numbers=numbers)
        return search

    def text(self, ids: list[int]) -> str:
        return " ".join(self.words[token] for token in ids if token >= 0)

    def live(self) -> Scored:
        """The live hypotheses with their probabilities."""
        if not self.search.ids:
            return []
        if isinstance(self.search, Beam):
            rows, scores = self.search.beams.tokens.flatten(0, 1), self.search.beams.scores.flatten()
        else:
            rows, scores = self.search.table.tokens, self.search.table.log_probs
        pairs = zip(rows.tolist(), scores.tolist(), strict=True)
        return [(self.text(row[1:]), math.exp(score)) for row, score in pairs if score > NEVER]

    def advance(self) -> list[Hypothesis] | None:
        """One step with the probabilities of the golden file; the hypotheses if the search is over."""
        said = [""] if self.search.fresh else [text for text, _ in self._rows()]
        log_probs = torch.full((len(said), len(self.words)), NEVER)
        for row, text in enumerate(said):
            for word, probability in self.golden["next"].get(text, {}).items():
                log_probs[row, self.words.index(word)] = math.log(probability)
        _, finished = self.search.advance(log_probs)
        return finished[0].hypotheses if finished else None

    def _rows(self) -> Scored:
        tokens = self.search.beams.tokens.flatten(0, 1) if isinstance(self.search, Beam) else self.search.table.tokens
        return [(self.text(row[1:]), 0.0) for row in tokens.tolist()]

    def scored(self, hypotheses: list[Hypothesis]) -> Scored:
        return [(self.text(list(hypothesis.token_ids)), hypothesis.score) for hypothesis in hypotheses]


def assert_equal(found: Scored, wanted: list[list[Any]]) -> None:
    assert [text for text, _ in found] == [text for text, _ in wanted]
    assert [value for _, value in found] == pytest.approx([value for _, value in wanted], abs=1e-4)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.toml")), ids=lambda path: path.stem)
def test_a_search_follows_the_trace_computed_by_hand(path: Path) -> None:
    trace = Trace(path)
    for step in trace.golden["step"]:
        over = trace.advance()
        assert_equal(trace.live(), step["live"])
        done = over if over is not None else trace.search.hypotheses(0)
        assert_equal(trace.scored(done), step["done"])
        assert (over is not None) == (step["live"] == [])


def test_there_is_a_trace_for_every_strategy() -> None:
    strategies = {Trace(path).golden["config"]["strategy"] for path in GOLDEN.glob("*.toml")}
    assert strategies == set(Strategy)


def test_there_is_a_trace_for_every_shape_that_a_distribution_is_given() -> None:
    options = {option for path in GOLDEN.glob("*.toml") for option in tomllib.loads(path.read_text("utf-8"))["config"]}
    assert options >= {"temperature", "top_k", "top_p", "typical_p"}
