"""Canaries in a twin: would the training remember a line that came once, four times, sixty-four times?

After Carlini et al. 2019. The twin is the audited weights trained on by the program itself, on few talks and the
canaries alone; what it shows is stated with that difference. Reports are eval/memorisation_report.py's business.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialogue.models.chat_model import ChatModel
from eval.offline.jsonl import numbered_rows
from eval.offline.likelihood import Question, branch_log_probs
from eval.offline.memory import attacks
from eval.offline.memory.audit import NOBODY

if TYPE_CHECKING:
    from dialogue.training.examples import Batch
    from dialogue.training.recipes import Recipe

REPETITIONS = (1, 4, 16, 64)
"""How often a canary stands in the twin's corpus."""


@dataclass(frozen=True, slots=True)
class Twin:
    """How the twin is trained, by the shipped model's recipe: on ``talks`` real talks and the canaries.

    ``steps`` counts optimiser steps of about ``batch_tokens`` tokens. As it stands a canary is met about as often as it
    was planted; with many more steps the rarest one, too, is known by heart, which tells nothing.
    """

    talks: int = 8
    steps: int = 200
    batch_tokens: int = 128
    canaries: int = 6
    rank: int = 32
    learning_rate: float = 1.2e-3


def adapters_of(name: str | None) -> Path | None:
    """The folder of a model's adapters, which a twin can begin with; None where there are none. None: the default."""
    from dialogue.models.catalogue import TRAINED_NAME, default_name, trained_folder

    name = name or default_name()
    folder = trained_folder() if name == TRAINED_NAME else Path(name).expanduser()
    return folder if any(folder.glob("adapters-*.safetensors")) else None


def canary_exposure(
    twin: Twin, talks: Path, seed: int, on_line: Callable[[str], None], start: Path | None = None
) -> dict[str, Any]:
    """Train the twin on talks of a file with canaries planted, then measure each canary's exposure.

    ``start`` are adapters to begin with: a network that can talk already spends its steps on what is new to it. None:
    the base, which has to learn the form of a reply first. The first part of the canaries is never planted: their
    exposure is what chance gives (about 1.4 bits).
    """
    from dialogue.models.loading import load

    planted = attacks.canaries(twin.canaries * (len(REPETITIONS) + 1), seed)
    times = {pair: (0, *REPETITIONS)[place // twin.canaries] for place, pair in enumerate(planted)}
    with tempfile.TemporaryDirectory(prefix="chinwag-twin-") as name:
        folder = Path(name)
        _write_corpus(folder / "corpus", talks, times, twin)
        record, met = _train(folder, twin, seed, on_line, start, [prompt for prompt, _ in planted])
        model = load(str(folder / "export"))
        rows = [{"repetitions": count, "met": met[pair[0]], **_exposed(model, pair)} for pair, count in times.items()]
    return {
        "twin": {
            "talks": twin.talks, "steps": twin.steps, "batch_tokens": twin.batch_tokens, "rank": twin.rank,
            "source": talks.name, "from_audited_weights": start is not None,
            **{name: record["run"][name] for name in ("minutes", "tokens", "passes")},
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
    rows = [row for row in rows if row["repetitions"] == count]
    values = sorted(row["exposure"] for row in rows)
    return {
        "repetitions": count, "canaries": len(values), "met": sum(row["met"] for row in rows) / len(rows),
        "mean": sum(values) / len(values), "least": values[0], "greatest": values[-1],
        "first": sum(row["likelier"] == 0 for row in rows),
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


def _train(
    folder: Path, twin: Twin, seed: int, on_line: Callable[[str], None], start: Path | None, prompts: Sequence[str]
) -> tuple[dict[str, Any], Counter[str]]:
    """The program's own training, unfiltered: a canary must be there as often as it was planted. The run's record, and
    how often each prompt was met.
    """
    from dialogue.models.base import base_checkpoint
    from dialogue.training.corpus import allow_all
    from dialogue.training.data import Filtering
    from dialogue.training.examples import Sampler, batches
    from dialogue.training.run import Options, Places, run, the_data

    chosen = twin_recipe(twin, seed)
    places = Places(folder / "corpus", folder / "run", folder / "cache", export=folder / "export", start=start)
    options = Options(measured_replies=0, quick_replies=0, country=None, name="twin")
    filtering = Filtering("none", lambda: allow_all)
    record = run(chosen, places, filtering, options, on_line)
    tokenizer, data = the_data(chosen, places, base_checkpoint().folder, filtering, False, on_line)
    sampler = Sampler(data.train, data.weights, chosen.windows, chosen.seed)
    same = islice(batches(sampler, chosen.batch_tokens), twin.steps)  # they follow from the recipe and the seed
    asked = {tuple(tokenizer.encode(prompt, add_special_tokens=False).ids): prompt for prompt in prompts}
    return record, meetings(same, asked)


def meetings(batches: Iterable[Batch], asked: Mapping[tuple[int, ...], str]) -> Counter[str]:
    """How many examples answered each prompt alone: what the encoder read was its tokens and the end of a turn."""
    met: Counter[str] = Counter()
    for batch in batches:
        for row, real in zip(batch.input_ids, batch.attention_mask, strict=True):
            prompt = asked.get(tuple(row[real].tolist()[:-1]))
            if prompt is not None:
                met[prompt] += 1
    return met
