from __future__ import annotations

import numpy as np
import pytest

from dialogue.errors import UserError
from dialogue.training.data import Filtering
from dialogue.training.recipes import Shape
from dialogue.training.run import Places
from dialogue.training.scaling import Law, Rung, climb, describe, fit, plot, rate_for
from dialogue.training.train import Progress, Trainer
from tests.dialogue.training.tiny import tiny

TRUE = Law(3e4, 0.35, 3.1, 0, 0, 0, ())
SIZES = (1e5, 2e5, 5e5, 1e6, 3e6, 8e6)


def rungs(noise: float, seed: int = 0) -> list[Rung]:
    rng = np.random.default_rng(seed)
    return [Rung(int(n), s, 0, TRUE(n) + noise * float(rng.normal())) for n in SIZES for s in (0, 1)]


def test_the_fit_finds_the_law_that_made_the_losses() -> None:
    law = fit(rungs(0.0))
    assert (law.critical, law.alpha, law.floor) == pytest.approx((TRUE.critical, TRUE.alpha, TRUE.floor), rel=1e-3)


def test_the_confidence_interval_holds_the_truth_most_of_the_time() -> None:
    laws = [fit(rungs(0.003, seed)) for seed in range(40)]
    inside = [abs(law.alpha - TRUE.alpha) <= law.alpha_interval for law in laws]
    assert sum(inside) >= 32
    assert all(law.alpha_interval < 0.2 for law in laws)


def test_three_sizes_are_too_few() -> None:
    with pytest.raises(UserError, match="at least four sizes"):
        fit(rungs(0.0)[:6])


def test_a_ladder_is_climbed_once_and_fitted(places: Places, no_filter: Filtering) -> None:
    shapes = [Shape(width, 2, 2, 300) for width in (8, 16, 24, 32)]
    said: list[str] = []
    recipe = tiny(steps=3, vocabulary=300)
    first = climb(recipe, places, no_filter, False, said.append, shapes, seeds=(0,))
    assert [rung.parameters for rung in first.rungs] == sorted({rung.parameters for rung in first.rungs})
    assert (places.folder / "ladder.json").is_file()
    marks = {path: path.stat().st_mtime_ns for path in places.folder.glob("rung-*/rung.json")}
    again = climb(recipe, places, no_filter, False, said.append, shapes, seeds=(0,))
    assert again == first
    assert marks == {path: path.stat().st_mtime_ns for path in places.folder.glob("rung-*/rung.json")}
    assert "α" in describe(first)
    plot(first, places.folder / "more.png", [("warm-started", 10**8, 3.0)])
    assert (places.folder / "more.png").stat().st_size > 5_000


def test_larger_networks_learn_at_lower_rates_and_all_at_sensible_ones() -> None:
    rates = [rate_for(parameters) for parameters in (10**5, 10**6, 10**7, 10**8)]
    assert rates == sorted(rates, reverse=True)
    assert 5e-4 < min(rates) < max(rates) < 3e-3


def test_a_ladder_that_is_stopped_records_no_half_trained_rung(
    places: Places, no_filter: Filtering, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Trainer.run

    def stopped(trainer: Trainer) -> Progress:
        trainer.stop_asked = True
        return run(trainer)

    shapes, recipe = [Shape(width, 2, 2, 300) for width in (8, 16, 24, 32)], tiny(steps=3, vocabulary=300)
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "run", stopped)
        with pytest.raises(UserError, match="same command goes on"):
            climb(recipe, places, no_filter, False, lambda line: None, shapes, seeds=(0,))
    assert not list(places.folder.glob("rung-*/rung.json"))
    assert len(climb(recipe, places, no_filter, False, lambda line: None, shapes, seeds=(0,)).rungs) == 4
