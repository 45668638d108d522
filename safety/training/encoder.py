"""Fine-tunes the pair encoder on labelled lines: resumable, one process, with a progress bar. English rows only.

Heads whose label a row does not know take no part in its loss. While fitting, each file has an offset of its own on
the overall head, dropped afterwards: what a source calls unsafe differs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from safety.detectors.linear import LinearDetector
from safety.detectors.pair_encoder import Blend, PairModel, PairNetwork, save_pair
from safety.linear_model import shipped_model
from safety.training.data import CALIBRATE, ordinary_talk, read_rows
from safety.training.encoder_blend import blends, both_logits, thinned
from safety.training.encoder_data import (
    HEADS,
    TALK,
    Example,
    base_folder,
    batches,
    chosen_rows,
    examples,
    load_base,
    tokenizer_of,
)
from safety.training.fit import without_calibration_rows

RATE, WARM_UP, DECAY = 1.2e-4, 0.06, 0.01


def padded(batch: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor | None]:
    """Ids, sides and, where lengths differ, a mask: (B, S) each."""
    longest = max(len(line.ids) for line in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    sides = torch.zeros_like(ids)
    mask = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, line in enumerate(batch):
        ids[row, : len(line.ids)] = torch.tensor(line.ids)
        sides[row, : len(line.ids)] = torch.tensor(line.sides)
        mask[row, : len(line.ids)] = True
    return ids, sides, None if bool(mask.all()) else mask


def loss_of(network: PairNetwork, offsets: nn.Embedding, batch: Sequence[Example]) -> Tensor:
    """Binary cross-entropy over what is known; the overall head counts double."""
    ids, sides, mask = padded(batch)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(ids, sides, mask)
    logits = logits.float()
    own = offsets(torch.tensor([line.file for line in batch]))
    logits = torch.cat([logits[:, :1] + own, logits[:, 1:]], 1)
    targets = torch.tensor([line.targets for line in batch], dtype=torch.float32)
    weights = (targets >= 0).float()
    weights[:, 0] *= 3
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets.clamp_min(0), reduction="none")
    return (losses * weights).sum() / weights.sum().clamp_min(1)


def train_encoder(
    data: Path,
    out: Path,
    ordinary: Sequence[Path],
    base: Path | None,
    epochs: float,
    on_step: Callable[[int, int, float], None],
    on_progress: Callable[[str], None],
) -> PairModel:
    """Fine-tune, weigh against the shipped linear model, and write ``out``. A run that was cut off goes on where it
    stood.

    Raises UserError for bad data or a missing base model.
    """
    folder = base_folder(base)
    tokenizer = tokenizer_of(folder)
    lines = examples(chosen_rows(data, ordinary), tokenizer)
    network = load_base(folder, len(HEADS))
    kept = out.with_suffix(".partial.pt")
    run = Run(network, lines, epochs, kept)
    if run.resume():
        on_progress(f"going on from step {run.step} of {run.steps}")
    run.go(on_step)
    return finish(network, tokenizer, data, ordinary, out, on_progress)


def finish(
    network: PairNetwork,
    tokenizer: Any,
    data: Path,
    ordinary: Sequence[Path],
    out: Path,
    on_progress: Callable[[str], None],
) -> PairModel:
    """Weigh a trained network against the linear model on the calibration rows, and write both to ``out``."""
    rows = [row for row in [*read_rows(data), *ordinary_talk(ordinary, TALK)] if row.lang == "en"]
    linear = without_calibration_rows(shipped_model(), rows, on_progress)
    rows = [row for row in rows if row.split == CALIBRATE and "unsafe" in row.labels and row.file != "pii_synthetic"]
    rows = thinned(rows)
    plain_blend = Blend(0.0, 1.0, 0.0, (0.95, 0.9, 0.8))
    state = {name: value.clone() for name, value in network.state_dict().items()}
    model = PairModel(network, tokenizer, plain_blend, plain_blend)
    found = both_logits(rows, LinearDetector(linear), model, on_progress)
    alone, reply = blends(rows, found)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_pair(state, tokenizer, alone, reply, out)
    return PairModel(network, tokenizer, alone, reply)


class Run:
    """One training run: network, optimiser and place, kept in a file beside the output while it goes on."""

    def __init__(self, network: PairNetwork, lines: Sequence[Example], epochs: float, kept: Path) -> None:
        torch.manual_seed(0)
        files = 1 + max(line.file for line in lines)
        self.network, self.lines, self.epochs, self.kept = network, lines, epochs, kept
        self.offsets = nn.Embedding(files, 1)
        nn.init.zeros_(self.offsets.weight)
        network.words.requires_grad_(False)  # half of all weights; kept as they are, they cost no time
        slim = [p for p in network.parameters() if p.ndim < 2]
        wide = [p for p in network.parameters() if p.ndim >= 2 and p.requires_grad]
        groups = [{"params": wide, "weight_decay": DECAY}, {"params": slim, "weight_decay": 0.0},
                  {"params": self.offsets.parameters(), "weight_decay": 0.0}]  # fmt: skip
        self.optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)
        for group, rate in zip(self.optimiser.param_groups, (RATE, RATE, 0.02), strict=True):
            group["base"] = rate
        self.steps = round(epochs * sum(1 for _ in batches(lines, 0)))
        self.step = 0
        print_of = repr((files, len(lines), epochs, [line.ids[:8] for line in lines[:2000]]))
        self.mark = hashlib.sha1(print_of.encode()).hexdigest()

    def resume(self) -> bool:
        """Take up a kept run of the same lines; whether there was one."""
        if not self.kept.exists():
            return False
        kept = torch.load(self.kept, weights_only=True)
        if kept["mark"] != self.mark:
            return False
        self.network.load_state_dict(kept["network"])
        self.offsets.load_state_dict(kept["offsets"])
        self.optimiser.load_state_dict(kept["optimiser"])
        torch.set_rng_state(kept["chance"])
        self.step = int(kept["step"])
        return True

    def keep(self) -> None:
        """Write all that is needed to go on, in one rename."""
        whole = {
            "mark": self.mark, "network": self.network.state_dict(), "offsets": self.offsets.state_dict(),
            "optimiser": self.optimiser.state_dict(), "chance": torch.get_rng_state(), "step": self.step,
        }  # fmt: skip
        part = self.kept.with_suffix(".part")
        torch.save(whole, part)
        part.replace(self.kept)

    def rate(self) -> float:
        """The share of the full learning rate: up over the first steps, then down in a straight line."""
        rise = max(1, math.ceil(WARM_UP * self.steps))
        return min((self.step + 1) / rise, (self.steps - self.step) / max(1, self.steps - rise))

    def go(self, on_step: Callable[[int, int, float], None], every: int = 200) -> None:
        """Train to the end from where it stands; ``on_step`` gets step, steps and the smoothed loss."""
        self.network.train()
        smooth, passed = float("nan"), 0
        for epoch in range(math.ceil(self.epochs) + 1):
            for batch in batches(self.lines, epoch):
                passed += 1
                if passed <= self.step:
                    continue
                if self.step >= self.steps:
                    return
                loss = self._learn(batch)
                smooth = loss if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss
                on_step(self.step, self.steps, smooth)
                if self.step % every == 0:
                    self.keep()

    def _learn(self, batch: Sequence[Example]) -> float:
        share = self.rate()
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * share
        loss = loss_of(self.network, self.offsets, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())
