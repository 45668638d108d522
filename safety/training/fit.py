"""Fits, calibrates and packs the linear model. Needs torch, and scikit-learn to calibrate (extra "train").

Weighting of the shared heads: a file of n rows counts (6000/n)**0.5 per row, between 0.3 and 5, so that no source
rules by its size, and less where its rows are made from few templates. Each file has an intercept of its own on them
while fitting, dropped afterwards: what a source calls unsafe differs. Experts (see linear_model.py) are taught by
their source alone, every row alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dialogue.errors import MissingExtra, UserError
from safety import features, linear_model
from safety.linear_model import LANGUAGES, Layer, LinearModel, stacked
from safety.training import sgd
from safety.training.contrast import contrast_rows
from safety.training.data import CALIBRATE, FIT, Row, ordinary_talk, read_rows
from safety.training.labels import known
from safety.training.matrix import Texts, context_bag, read_all, read_text

TEXT_HEADS = ("unsafe", "offensive", "hate", "sexual", "selfharm", "violence", "dangerous", "sensitive")
CONTEXT_HEADS = ("unsafe", "agrees_unsafe", "bad_advice", "ignores_risk", "offensive", "hate")
ONLY_IN_CONTEXT = frozenset({"agrees_unsafe", "bad_advice", "ignores_risk"})
ALARM_RATES = {"low": 0.0002, "medium": 0.001, "high": 0.005}
"""The share of ordinary lines that a head may flag at each level."""
EXPERT_ROWS = 300
"""A source with as many rows to fit has an expert, if both of its classes have a tenth of that."""
_PASSES = {"text": (8, 0.8), "context": (5, 0.3)}
"""Epochs and the first step, by layer; tried on the calibration rows."""
_TEMPLATES = frozenset({"madlibs_identity", "pii_synthetic"})

Floats = NDArray[np.float32]


def train(
    data: Path, out: Path, ordinary: Sequence[Path] = (), on_progress: Callable[[str], None] = lambda line: None
) -> LinearModel:
    """Train on a folder of labelled lines, write the model to ``out``. Raises UserError for bad data."""
    _check_libraries()
    labelled = read_rows(data)
    talk = list(ordinary_talk(ordinary))
    rows = [*labelled, *talk, *contrast_rows()]
    if len({row.labels.get("unsafe") for row in labelled} & {0, 1}) < 2:
        raise UserError(f"{data} needs both safe and unsafe rows.")
    texts = read_all(rows, on_progress)
    model, logits = _fit_text(rows, texts, on_progress)
    model = replace(model, context=_fit_context(rows, texts.reads, model, logits, on_progress))
    out.parent.mkdir(parents=True, exist_ok=True)
    linear_model.save_model(model, out)
    return model


def _check_libraries() -> None:
    try:
        import sklearn.linear_model  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Training needs torch and scikit-learn", "train") from error


def row_weights(rows: Sequence[Row]) -> Floats:
    """One weight per row, by the size of its file and how many different templates or talks the file really has."""
    sizes = Counter(row.file for row in rows)
    groups = Counter(file for file, _ in {(row.file, row.group) for row in rows})
    by_file = {f: float(np.clip((6000 / n) ** 0.5, 0.3, 5)) * (groups[f] / n) ** 0.5 for f, n in sizes.items()}
    by_file |= {f: 2.0 for f in sizes if f.startswith("contrast")}
    return np.array([by_file[row.file] for row in rows], np.float32)


def _alone(rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Rows whose labels are about the text by itself, not about a reply."""
    in_context = {row.file for row in rows if ONLY_IN_CONTEXT & row.labels.keys()}
    return np.array([row.file not in in_context for row in rows])


def _expert_sources(rows: Sequence[Row], use: NDArray[np.bool_]) -> list[str]:
    """ "language file" of each source that is large enough for an expert, in order."""
    counts = Counter(
        (f"{row.lang} {row.file}", row.labels["unsafe"])
        for row, mine in zip(rows, use, strict=True)
        if mine and "unsafe" in row.labels and row.file not in _TEMPLATES
    )
    names = sorted({name for name, _ in counts})
    few = EXPERT_ROWS / 10
    return [
        name
        for name in names
        if counts[name, 0] + counts[name, 1] >= EXPERT_ROWS and min(counts[name, 0], counts[name, 1]) >= few
    ]


def _text_task(rows: Sequence[Row], texts: Texts, sources: Sequence[str], use: NDArray[np.bool_]) -> sgd.Task:
    """Shared heads for all rows; an expert for the rows of its source; origins among the sources of the language."""
    names = [f"{row.lang} {row.file}" for row in rows]
    shared = [[known(row, head) for head in TEXT_HEADS] for row in rows]
    own = [[row.labels["unsafe"] if name == s else -1 for s in sources] for row, name in zip(rows, names, strict=True)]
    targets = np.concatenate([np.array(shared, np.float32), np.array(own, np.float32).reshape(len(rows), -1)], 1)
    weights = np.ones_like(targets)
    weights[:, : len(TEXT_HEADS)] = row_weights(rows)[:, None]
    origins = np.array([sources.index(name) if name in sources else -1 for name in names])
    counts = np.array([max(1, ((origins == at) & use).sum()) for at in range(len(sources))])
    classes = (2 * counts**-0.5 / (counts**-0.5).mean()).astype(np.float32) if len(sources) else None
    files = sorted({row.file for row in rows})
    return sgd.Task(
        [texts.bag(place) for place in range(len(rows))],
        np.flatnonzero(use),
        (1 << features.BITS) + len(texts.rules),
        targets,
        weights,
        np.array([files.index(row.file) for row in rows]),
        len(TEXT_HEADS),
        origins,
        classes,
        np.array([[source.split()[0] == row.lang for source in sources] for row in rows]).reshape(len(rows), -1),
    )


def _fit_text(rows: Sequence[Row], texts: Texts, on_progress: Callable[[str], None]) -> tuple[LinearModel, Floats]:
    """The model with its text layer fitted and calibrated, and the logits of all rows, (rows, heads)."""
    on_progress("fitting the text layer")
    alone = _alone(rows)
    use = np.array([row.split == FIT for row in rows]) & alone
    sources = _expert_sources(rows, use)
    task = _text_task(rows, texts, sources, use)
    layer = _packed(TEXT_HEADS, *sgd.fit(task, *_PASSES["text"], on_progress), 1 << features.BITS)
    model = LinearModel(layer, layer, texts.rules, tuple(sources))
    plain = _all_logits(layer, task.bags)
    logits = np.empty((len(rows), len(TEXT_HEADS)), np.float32)
    for lang in LANGUAGES:
        mine = np.array([seen.language == lang for seen in texts.reads])
        logits[mine] = model.mixed(plain[mine], lang)
    spare = np.array([row.split == CALIBRATE for row in rows]) & alone
    targets = task.targets[:, : len(TEXT_HEADS)]
    return replace(model, text=_calibrated(layer, rows, logits, targets, spare, row_weights(rows))), logits


def _packed(heads: Sequence[str], fitted: Floats, bias: Floats, buckets: int) -> Layer:
    """Bucket weights as int8 with one scale per column; calibration to be filled in."""
    table = fitted[:buckets]
    scale = np.maximum(np.percentile(np.abs(table), 99.995, axis=0) / 127, 1e-6).astype(np.float32)
    small = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
    platt = np.tile(np.array([1.0, 0.0], np.float32), (len(LANGUAGES), len(heads), 1))
    thresholds = np.tile(np.array([0.95, 0.9, 0.8], np.float32), (len(LANGUAGES), len(heads), 1))
    return Layer(tuple(heads), small, scale, bias.copy(), fitted[buckets:].copy(), platt, thresholds)


def _all_logits(layer: Layer, bags: Sequence[sgd.Bag]) -> Floats:
    """Logits of many rows at once, (rows, columns), with the packed weights."""
    import torch
    from torch.nn import functional

    whole = torch.from_numpy(np.concatenate([layer.table * layer.scale, layer.dense]).astype(np.float32))
    out = []
    for start in range(0, len(bags), 2000):
        columns, values, starts = sgd.joined(bags[start : start + 2000])
        out.append(functional.embedding_bag(columns, whole, starts, mode="sum", per_sample_weights=values).numpy())
    return np.asarray(np.concatenate(out) + layer.bias, np.float32)


def _fit_context(
    rows: Sequence[Row],
    reads: Sequence[linear_model.Read],
    model: LinearModel,
    logits: Floats,
    on_progress: Callable[[str], None],
    *,
    whole: bool = True,
) -> Layer:
    on_progress("fitting the context layer")
    chosen = [place for place, row in enumerate(rows) if row.context]
    part = [rows[place] for place in chosen]
    if not part:  # nothing to learn from: the layer says no to everything
        silent = np.zeros(((1 << features.CONTEXT_BITS) + 3 * len(TEXT_HEADS), len(CONTEXT_HEADS)), np.float32)
        return _packed(CONTEXT_HEADS, silent, np.full(len(CONTEXT_HEADS), -6, np.float32), 1 << features.CONTEXT_BITS)
    befores = [read_text(row.context[-1]) for row in part]
    dense = [stacked(logits[p], model.text_logits(before)) for p, before in zip(chosen, befores, strict=True)]
    bags = [context_bag(reads[p], b, d) for p, b, d in zip(chosen, befores, dense, strict=True)]
    targets = np.array([[known(row, head) for head in CONTEXT_HEADS] for row in part], np.float32)
    weights = row_weights(part)
    # Sources about replies teach this layer; mixing in other talk with a context cost seven points of AUC on them.
    taught = {row.file for row in part if ONLY_IN_CONTEXT & row.labels.keys()}
    mine = np.array([row.file in taught for row in part], bool)
    parts = {split: mine & np.array([row.split == split for row in part], bool) for split in (FIT, CALIBRATE)}
    buckets = 1 << features.CONTEXT_BITS
    inputs = 3 * len(TEXT_HEADS)

    def fitted(use: NDArray[np.bool_]) -> Layer:
        every = np.ones_like(targets)
        task = sgd.Task(bags, np.flatnonzero(use), buckets + inputs, targets, every)
        return _packed(CONTEXT_HEADS, *sgd.fit(task, *_PASSES["context"], on_progress), buckets)

    layer = fitted(parts[FIT])
    calm = _ordinary(part) & np.array([row.split == CALIBRATE for row in part], bool)
    layer = _calibrated(layer, part, _all_logits(layer, bags), targets, parts[CALIBRATE] | calm, weights)
    if not whole:
        return layer
    # Calibrated, the layer is fitted once more with the calibration rows: replies in context are scarce.
    packed = fitted(parts[FIT] | parts[CALIBRATE])
    # The second fit is surer of itself than the one that was calibrated: higher floors for low, medium and high.
    thresholds = np.maximum(layer.thresholds, np.array([0.92, 0.82, 0.6], np.float32))
    return replace(packed, platt=layer.platt, thresholds=thresholds)


def without_calibration_rows(
    model: LinearModel, rows: Sequence[Row], on_progress: Callable[[str], None]
) -> LinearModel:
    """A model whose context layer never saw the calibration rows: for weighing another model against it on them."""
    part = [row for row, alone in zip(rows, _alone(rows), strict=True) if row.context and not alone]
    reads = [read_text(row.text) for row in part]
    logits = np.array([model.text_logits(seen) for seen in reads], np.float32).reshape(len(part), len(TEXT_HEADS))
    return replace(model, context=_fit_context(part, reads, model, logits, on_progress, whole=False))


def _calibrated(
    layer: Layer, rows: Sequence[Row], logits: Floats, targets: Floats, spare: NDArray[np.bool_], weights: Floats
) -> Layer:
    """The layer with Platt's two numbers and the thresholds filled in, per language and head."""
    ordinary = _ordinary(rows)
    for at, lang in enumerate(LANGUAGES):
        mine = np.array([row.lang == lang for row in rows])
        for head in range(len(layer.heads)):
            seen = spare & (targets[:, head] >= 0)
            seen = seen & mine if len(set(targets[seen & mine, head])) == 2 else seen
            layer.platt[at, head] = _platt(logits[seen, head], targets[seen, head], weights[seen])
            a, b = layer.platt[at, head]
            calm = 1 / (1 + np.exp(-(a * logits[ordinary & spare & mine, head] + b)))
            layer.thresholds[at, head] = thresholds_of(calm)
    return layer


def ordinary_files(rows: Sequence[Row]) -> set[str]:
    """Files in which nothing is unsafe or sensitive: ordinary talk."""
    unsafe = {row.file for row in rows if row.labels.get("unsafe", 1) or row.labels.get("sensitive")}
    return {row.file for row in rows} - unsafe


def _ordinary(rows: Sequence[Row]) -> NDArray[np.bool_]:
    calm = ordinary_files(rows)
    return np.array([row.file in calm for row in rows], bool)


def _platt(logits: Floats, targets: Floats, weights: Floats) -> tuple[float, float]:
    """Slope and offset of a logistic fit to held-back logits; the identity where there is too little to fit."""
    from sklearn.linear_model import LogisticRegression

    if len(set(targets)) < 2 or min(Counter(targets.tolist()).values()) < 5:
        return 1.0, 0.0
    model = LogisticRegression(C=100.0).fit(logits[:, None], targets, sample_weight=weights)
    return max(float(model.coef_[0, 0]), 0.05), float(model.intercept_[0])


def thresholds_of(calm: Floats) -> list[float]:
    """Probabilities for levels low, medium and high from those of ordinary lines; never below 0.75, 0.6 and 0.4."""
    floors = {"low": 0.75, "medium": 0.6, "high": 0.4}
    if not len(calm):
        return [0.95, 0.85, 0.7]
    found = {level: max(float(np.quantile(calm, 1 - rate)), floors[level]) for level, rate in ALARM_RATES.items()}
    high = min(found["high"], 0.97)
    medium = min(max(found["medium"], high + 0.005), 0.98)
    return [min(max(found["low"], medium + 0.005), 0.99), medium, high]
