"""A ladder of sizes from scratch on the same tokens, and the law that their losses follow.

L(N) = (N_c / N)^α + L_∞ with N the parameters outside the embeddings (Kaplan et al. 2020; the constant as in Henighan
et al. 2020), fitted by least squares to nats per word on held-out talk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dialogue.errors import UserError
from dialogue.training.data import Data, Filtering
from dialogue.training.evaluate import scores, validation
from dialogue.training.network import build
from dialogue.training.recipes import Recipe, Shape
from dialogue.training.run import Options, Places, make_trainer, the_data, the_device

LADDER = tuple(Shape(width, layers, width // 32, 4096) for width, layers in
               ((64, 2), (96, 3), (128, 4), (160, 4), (192, 4), (256, 5)))  # fmt: skip
SEEDS = (0, 1)
STEPS = 250


@dataclass(frozen=True, slots=True)
class Rung:
    """One trained size: parameters outside the embeddings, seed, tokens, held-out nats per word (mean of sources)."""

    parameters: int
    seed: int
    tokens: int
    nats_per_word: float


@dataclass(frozen=True, slots=True)
class Law:
    """The fitted L(N) = (critical / N)^alpha + floor, each with the half-width of its 95% confidence interval."""

    critical: float
    alpha: float
    floor: float
    critical_log10_interval: float
    alpha_interval: float
    floor_interval: float
    rungs: tuple[Rung, ...]

    def __call__(self, parameters: float) -> float:
        """Nats per word that the law foretells."""
        return float((self.critical / parameters) ** self.alpha + self.floor)


def climb(
    recipe: Recipe,
    places: Places,
    filtering: Filtering,
    research: bool,
    say: Callable[[str], None],
    shapes: Sequence[Shape] = LADDER,
    seeds: Sequence[int] = SEEDS,
) -> Law:
    """Train every size with every seed on the same tokens, fit the law, write ``ladder.json`` and ``ladder.png``.

    Sizes that a former call finished are not trained again. The recipe gives the mix, and its steps when it has any.
    """
    steps = recipe.train.steps or STEPS
    recipe = replace(recipe, method="scratch", encoder="bidirectional", shape=shapes[0], batch_tokens=4096)
    train = replace(recipe.train, minutes=None, steps=steps, validate_s=math.inf)
    recipe = replace(recipe, train=train)
    tokenizer, data = the_data(recipe, places, Path(), filtering, research, say)
    rungs = []
    for shape in shapes:
        for seed in seeds:
            rung = _rung(replace(recipe, shape=shape, seed=seed), places.folder, data, tokenizer.get_vocab_size())
            say(f"{rung.parameters:>9,} parameters, seed {seed}: {rung.nats_per_word:.3f} nats a word")
            rungs.append(rung)
    law = fit(rungs)
    record = asdict(law) | {"steps": steps, "recipe": recipe.described()}
    (places.folder / "ladder.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    plot(law, places.folder / "ladder.png")
    return law


def _rung(recipe: Recipe, folder: Path, data: Data, vocabulary: int) -> Rung:
    place = folder / f"rung-{recipe.shape.width}x{recipe.shape.layers}-{recipe.train.steps}-{recipe.seed}"
    if (place / "rung.json").is_file():
        return Rung(**json.loads((place / "rung.json").read_text(encoding="utf-8")))
    model = build(recipe, Path(), vocabulary).to(the_device())
    options = Options(quick_replies=0, country=None)
    train = replace(recipe.train, learning_rate=rate_for(body_parameters(model)))
    data_order = replace(recipe, seed=0, train=train)  # every rung reads the same batches
    trainer = make_trainer(data_order, model, data, place, options, None)
    progress = trainer.run()
    if trainer.done() < 1:
        raise UserError("The ladder was stopped; the same command goes on where it was.")
    found = scores(model, validation(data.valid, 100)).values()
    mean = sum(score.nats_per_word for score in found) / len(found)
    rung = Rung(body_parameters(model), recipe.seed, progress.tokens, mean)
    (place / "rung.json").write_text(json.dumps(asdict(rung)) + "\n", encoding="utf-8")
    (place / "checkpoint.pt").unlink()
    return rung


def rate_for(parameters: int) -> float:
    """The peak learning rate for so many parameters outside the embeddings (Kaplan et al. 2020, appendix D.6).

    One rate for all sizes makes the larger ones look worse than they are.
    """
    return 0.003239 - 0.0001395 * math.log(parameters)


def body_parameters(model: torch.nn.Module) -> int:
    """Parameters outside the embeddings."""
    return sum(p.numel() for name, p in model.named_parameters() if not name.startswith("embed"))


def _law(log_parameters: NDArray[np.float64], log_critical: float, alpha: float, floor: float) -> NDArray[np.float64]:
    return np.exp(alpha * (log_critical - log_parameters)) + floor


def fit(rungs: Sequence[Rung]) -> Law:
    """The law through the rungs. Raises UserError when there are too few sizes or the fit does not settle."""
    from scipy.optimize import curve_fit
    from scipy.stats import t

    sizes = np.log(np.array([rung.parameters for rung in rungs], dtype=np.float64))
    losses = np.array([rung.nats_per_word for rung in rungs])
    if len(set(sizes)) < 4:
        raise UserError("A law of three constants needs at least four sizes; train more of them.")
    start = (float(sizes.mean()), 0.2, float(losses.min()) * 0.8)
    bounds = ([-50.0, 0.005, 0.0], [200.0, 3.0, float(losses.min())])
    try:
        found, covariance = curve_fit(_law, sizes, losses, start, bounds=bounds, max_nfev=20_000)
    except RuntimeError as error:
        raise UserError(f"No law fits these losses: {error}.") from error
    half = t.ppf(0.975, max(len(losses) - 3, 1)) * np.sqrt(np.diag(covariance))
    log_critical, alpha, floor = map(float, found)
    return Law(
        math.exp(log_critical),
        alpha,
        floor,
        float(half[0]) / math.log(10),
        float(half[1]),
        float(half[2]),
        tuple(rungs),
    )


def describe(law: Law) -> str:
    """The law in one line, with its intervals."""
    return (
        f"L(N) = (N_c / N)^α + L_∞ with α = {law.alpha:.3f} ± {law.alpha_interval:.3f}, "
        f"log10 N_c = {math.log10(law.critical):.2f} ± {law.critical_log10_interval:.2f}, "
        f"L_∞ = {law.floor:.3f} ± {law.floor_interval:.3f} nats a word (95%)"
    )


def plot(law: Law, picture: Path, others: Sequence[tuple[str, int, float]] = ()) -> None:
    """Draw rungs and law; ``others`` are (label, parameters, nats per word) of networks trained in other ways."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes: Any = figure.subplots()
    sizes = [rung.parameters for rung in law.rungs]
    line = np.geomspace(min(sizes) / 2, max([*sizes, *(n for _, n, _ in others)]) * 2, 100)
    axes.scatter(sizes, [rung.nats_per_word for rung in law.rungs], s=18, label="from scratch")
    axes.plot(line, [law(n) for n in line], linewidth=1, label=f"fit, α = {law.alpha:.2f} ± {law.alpha_interval:.2f}")
    for label, parameters, nats in others:
        axes.scatter([parameters], [nats], marker="*", s=90, label=label)
    axes.set(xscale="log", xlabel="parameters outside the embeddings", ylabel="held-out nats per word")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(picture, dpi=120)
