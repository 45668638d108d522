"""The memorisation audit: what of its training talks could a person get out of the model?

After Carlini et al. 2019 and 2021 and the lesson of Iruda (2021). Rates of the model itself are bounded at 95%; nothing
here proves absence, which only differential privacy in training could. Canaries are planted in a twin
(eval/offline/memory/canaries.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dialogue.models.chat_model import ChatModel
from eval.offline.corpora import read_items
from eval.offline.jsonl import sha256
from eval.offline.likelihood import Question, likelihoods
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
from eval.offline.memory.own_lines import own_index, own_pairs, own_recited, own_sampled
from eval.offline.memory.suffix_index import SuffixIndex
from eval.offline.suite import SHIPPED, digest

OnStage = Callable[[str, int], None]
SAMPLES_A_PART = 1000


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
    own: int = 0
    """Contexts of the talks that come with the program; 0 for a model that has not learnt from those."""


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
    if plan.own:
        data["own_talks"] = _own_talks(model, plan, parts, rows, lambda n: on_stage("own talks", n))
    return data | {"extraction": extraction(rows, index), "personal_data": personal_data(rows, index)}


def _own_talks(
    model: ChatModel, plan: Audit, parts: Parts, rows: Sequence[Mapping[str, Any]], on_done: Callable[[int], None]
) -> dict[str, Any]:
    index, pairs = own_index(), own_pairs(plan.own, plan.seed)
    asked = {"contexts": digest([asdict(pair) for pair in pairs])}
    contexts = parts.get("own-talks", asked, lambda: own_recited(model, index, pairs, on_done))
    return {"words": index.words, "contexts": contexts, "samples_equal_to_a_rare_line": own_sampled(rows, index)}


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
