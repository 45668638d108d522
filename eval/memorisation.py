"""The memorisation audit: what of its training talks could a person get out of the model?

After Carlini et al. 2019 and 2021 and the lesson of Iruda (2021). Canaries are planted in a twin, trained by the same
program on a small corpus: what they show holds for the twin and is stated with the difference. Rates of the model
itself are bounded at 95%; nothing here proves absence, which only differential privacy in training could.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialogue.models.chat_model import ChatModel
from eval.offline.corpora import read_items
from eval.offline.jsonl import numbered_rows, sha256
from eval.offline.likelihood import Question, branch_log_probs, likelihoods
from eval.offline.memory import attacks
from eval.offline.memory.audit import (
    NOBODY,
    TOGETHER,
    Pair,
    corpus_texts,
    discoverable,
    drawn_pairs,
    extraction,
    membership,
    personal_data,
    samples,
    stored,
)
from eval.offline.memory.suffix_index import SuffixIndex
from eval.offline.suite import SHIPPED, digest

if TYPE_CHECKING:
    from dialogue.training.recipes import Recipe

OnStage = Callable[[str, int], None]
SAMPLES_A_PART = 1000
REPETITIONS = (1, 4, 16, 64)
"""How often a canary stands in the twin's corpus."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What is audited with how much work. ``seen`` files were trained on, ``unseen`` were not."""

    seen: tuple[Path, ...]
    unseen: tuple[Path, ...]
    pairs: int = 200
    samples: int = 1000
    seed: int = 0
    compared: int = 1000
    """So many of the first samples are also scored by the reference, which costs as much as drawing them."""


def audit(model: ChatModel, reference: ChatModel | None, plan: Audit, out: Path, on_stage: OnStage) -> dict[str, Any]:
    """Every part that needs no training. A finished part is kept in ``OUT/parts`` and not done again."""
    index = SuffixIndex(corpus_texts(plan.seen))
    on_stage("corpus", 1)
    seen, unseen = like_pairs(plan)
    openers = [item.context[-1] for item in read_items(SHIPPED / "everyday_en.jsonl")]
    parts = Parts(out / "parts", {
        "model": model.fingerprint, "reference": reference.fingerprint if reference else "",
        "files": [sha256(path) for path in (*plan.seen, *plan.unseen)], "seed": plan.seed,
    })  # fmt: skip
    data: dict[str, Any] = {"corpus_words": index.words, "stored_lines": stored(index)}
    data["membership"] = parts.get(
        "membership", {"pairs": plan.pairs},
        lambda: membership(model, reference, seen, unseen, lambda n: on_stage("membership", n)),
    )  # fmt: skip
    data["discoverable"] = parts.get(
        "discoverable", {"pairs": plan.pairs},
        lambda: discoverable(model, index, seen, unseen, lambda n: on_stage("discoverable", n)),
    )  # fmt: skip
    rows = _samples(model, reference, openers, plan, parts, lambda n: on_stage("samples", n))
    return data | {"extraction": extraction(rows, index), "personal_data": personal_data(rows, index)}


def like_pairs(plan: Audit) -> tuple[list[Pair], list[Pair]]:
    """As many answers of seen as of unseen talks, source by source (what stands before the first dot of a file's name),
    so that a difference in likelihood is not one of subject. Files of one kind alone: simply drawn from each.
    """
    sources = {path.name.split(".")[0] for path in plan.seen} & {path.name.split(".")[0] for path in plan.unseen}
    if not sources:
        both = [drawn_pairs(files, plan.pairs, plan.seed) for files in (plan.seen, plan.unseen)]
        return both[0], both[1]
    found: tuple[list[Pair], list[Pair]] = ([], [])
    drawn = []
    for source in sorted(sources):
        own = [[path for path in files if path.name.split(".")[0] == source] for files in (plan.seen, plan.unseen)]
        drawn.append([drawn_pairs(files, plan.pairs, plan.seed) for files in own])
    drawn.sort(key=lambda both: min(map(len, both)))  # small sources first: what they lack the large ones give
    for place, both in enumerate(drawn):
        count = min(*map(len, both), (plan.pairs - len(found[0])) // (len(drawn) - place))
        for side, pairs in zip(found, both, strict=True):
            side += pairs[:count]
    return found


def _samples(
    model: ChatModel, reference: ChatModel | None, openers: Sequence[str], plan: Audit, parts: Parts,
    on_done: Callable[[int], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """In parts of SAMPLES_A_PART: an audit that was stopped goes on, one that wants more samples adds them."""
    rows: list[dict[str, Any]] = []
    for start in range(0, plan.samples, SAMPLES_A_PART):
        places = range(start, min(start + SAMPLES_A_PART, plan.samples))
        compared = start < plan.compared and reference is not None
        make = partial(_sampled, model, reference if compared else None, openers, places, plan.seed, on_done)
        drawn_by = {
            "samples": len(places), "openers": digest(list(openers)), "together": TOGETHER, "compared": compared,
        }  # fmt: skip
        rows += parts.get(f"samples-{start:06}", drawn_by, make)
    return rows


def _sampled(
    model: ChatModel, reference: ChatModel | None, openers: Sequence[str], places: range, seed: int,
    on_done: Callable[[int], None],
) -> list[dict[str, Any]]:  # fmt: skip
    rows = samples(model, openers, places, seed, on_done)
    if reference is not None:
        questions = [Question(tuple(row["context"]), row["text"], NOBODY) for row in rows]
        for row, found in zip(rows, likelihoods(reference, questions), strict=True):
            row["reference_nats"] = found.nats
    return rows


class Parts:
    """Results of finished parts as files; a part that was made otherwise is made again."""

    def __init__(self, folder: Path, made_by: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._made_by = folder, dict(made_by)

    def get(self, name: str, how: Mapping[str, Any], make: Callable[[], Any]) -> Any:
        """The kept value, or a new one."""
        path, made_by = self._folder / f"{name}.json", json.loads(json.dumps({**self._made_by, **how}))
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["made_by"] == made_by:
                return kept["value"]
        value = make()
        path.write_text(json.dumps({"made_by": made_by, "value": value}, ensure_ascii=False), encoding="utf-8")
        return value


# --- canaries in a twin ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Twin:
    """How the twin is trained: adapters over the base as the shipped model, on ``talks`` real talks and the canaries.

    ``steps`` counts optimiser steps of about ``batch_tokens`` tokens: a canary is learnt by being met in many steps, so
    many small ones show more than few large ones at the same cost.
    """

    talks: int = 20
    steps: int = 300
    batch_tokens: int = 512
    canaries: int = 4
    rank: int = 32
    learning_rate: float = 1.2e-3


def canary_exposure(twin: Twin, talks: Path, seed: int, on_line: Callable[[str], None]) -> dict[str, Any]:
    """Train the twin on talks of a file with canaries planted, then measure each canary's exposure.

    The first part of the canaries is never planted: their exposure is what chance gives (about 1.4 bits).
    """
    from dialogue.models.loading import load

    planted = attacks.canaries(twin.canaries * (len(REPETITIONS) + 1), seed)
    times = {pair: (0, *REPETITIONS)[place // twin.canaries] for place, pair in enumerate(planted)}
    with tempfile.TemporaryDirectory(prefix="chinwag-twin-") as name:
        folder = Path(name)
        _write_corpus(folder / "corpus", talks, times, twin)
        record = _train(folder, twin, seed, on_line)
        model = load(str(folder / "export"))
        rows = [{"repetitions": count, **_exposed(model, pair)} for pair, count in times.items()]
    return {
        "twin": {
            "talks": twin.talks, "steps": twin.steps, "batch_tokens": twin.batch_tokens, "rank": twin.rank,
            "source": talks.name, **{name: record["run"][name] for name in ("minutes", "tokens", "passes")},
        },
        "ceiling_bits": attacks.SECRET_DIGITS * math.log2(10),
        "by_repetitions": [_summary(rows, count) for count in (0, *REPETITIONS)],
        "canaries": rows,
    }  # fmt: skip


def _exposed(model: ChatModel, pair: tuple[str, str]) -> dict[str, Any]:
    """The secret's rank among all fillings of its hole, the digits' likelihood alone: what follows is always a dot."""
    prompt, secret = pair
    before, filling = attacks.hole(secret)
    start = model.vocabulary.encode(before.rstrip())
    every = {text: tuple(model.vocabulary.encode(before + text)[len(start) :]) for text in attacks.fillings()}
    question = Question((prompt,), before.rstrip(), NOBODY)
    found = dict(zip(every, branch_log_probs(model, question, list(every.values())), strict=True))
    own = found.pop(filling)
    return {"exposure": attacks.exposure(own, list(found.values())), "likelier": sum(v > own for v in found.values())}


def _summary(rows: Sequence[Mapping[str, Any]], count: int) -> dict[str, Any]:
    values = sorted(row["exposure"] for row in rows if row["repetitions"] == count)
    return {
        "repetitions": count, "canaries": len(values), "mean": sum(values) / len(values), "least": values[0],
        "greatest": values[-1], "first": sum(r["likelier"] == 0 for r in rows if r["repetitions"] == count),
    }  # fmt: skip


def _write_corpus(folder: Path, talks: Path, times: Mapping[tuple[str, str], int], twin: Twin) -> None:
    """A corpus folder of the trainer's form: real talks as they are, canaries as talks of two turns."""
    folder.mkdir(parents=True)
    rows = [row | {"source": "talks"} for _, (_, row) in zip(range(twin.talks), numbered_rows(talks), strict=False)]
    _pack(folder / "talks.valid.jsonl.zst", rows[:8])  # with a file of their own no planted talk is held out
    for (prompt, secret), count in times.items():
        turns = [{"speaker": "A", "text": prompt}, {"speaker": "B", "text": secret}]
        for copy in range(count):
            rows.append({"source": "talks", "id": f"canary/{prompt}/{copy}", "persona": None, "turns": turns})
    _pack(folder / "talks.train.jsonl.zst", rows)
    record = {"lang": "en", "licence_class": "permissive"}
    (folder / "sources.json").write_text(json.dumps({"talks": record}), encoding="utf-8")
    (folder / "mixes.json").write_text(json.dumps({"twin": {"sources": {"talks": 1.0}}}), encoding="utf-8")


def _pack(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    import zstandard

    plain = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(zstandard.ZstdCompressor().compress(plain.encode("utf-8")))


def twin_recipe(twin: Twin, seed: int) -> Recipe:
    """The shipped model's recipe on the twin's corpus alone: the talks that come with the program would drown it."""
    from dialogue.training.recipes import recipe_named

    chosen = recipe_named("cpu").with_(
        weights={"talks": 1.0}, own={}, measured=("talks",), batch_tokens=twin.batch_tokens, seed=seed, rank=twin.rank
    )
    budget = replace(chosen.train, minutes=None, steps=twin.steps, learning_rate=twin.learning_rate, validate_s=1e9)
    return replace(chosen, train=budget)


def _train(folder: Path, twin: Twin, seed: int, on_line: Callable[[str], None]) -> dict[str, Any]:
    """The program's own training, unfiltered: a canary must be there as often as it was planted."""
    from dialogue.training.corpus import allow_all
    from dialogue.training.data import Filtering
    from dialogue.training.run import Options, Places, run

    chosen = twin_recipe(twin, seed)
    places = Places(folder / "corpus", folder / "run", folder / "cache", export=folder / "export")
    options = Options(measured_replies=0, quick_replies=0, country=None, name="twin")
    filtering = Filtering("none", lambda: allow_all)
    return run(chosen, places, filtering, options, on_line)
