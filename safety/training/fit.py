"""Fits, calibrates and packs the linear model. Needs scikit-learn and SciPy (extra "train"); run time needs neither.

Weighting: a file of n rows counts (6000/n)**0.5 per row, between 0.3 and 5, so that no source rules by its size, and
less
where its rows are made from few templates. Files
beyond 2,000 rows, unless nearly all of them are unsafe, get an intercept of their own while fitting, dropped
afterwards:
what a source calls unsafe differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue.errors import UserError
from safety import features, linear_model
from safety.linear_model import LANGUAGES, Layer, LinearModel, stacked
from safety.training.contrast import contrast_rows
from safety.training.data import CALIBRATE, FIT, Row, ordinary_talk, read_rows
from safety.training.matrix import context_matrix, read_text, text_matrix

TEXT_HEADS = ("unsafe", "offensive", "hate", "sexual", "selfharm", "violence", "dangerous", "sensitive")
CONTEXT_HEADS = ("unsafe", "agrees_unsafe", "bad_advice", "ignores_risk", "offensive", "hate")
ONLY_IN_CONTEXT = frozenset({"agrees_unsafe", "bad_advice", "ignores_risk"})
ALARM_RATES = {"low": 0.0002, "medium": 0.001, "high": 0.005}
"""The share of ordinary lines that a head may flag at each level."""
_C = {"text": 4.0, "context": 4.0}

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
    matrices = text_matrix(rows, on_progress)
    text = _fit_text(rows, matrices.text, on_progress)
    logits = _all_logits(text, matrices.text)
    context = _fit_context(rows, matrices.reads, text, logits, on_progress)
    model = LinearModel(text, context, matrices.rules)
    out.parent.mkdir(parents=True, exist_ok=True)
    linear_model.save_model(model, out)
    return model


def _check_libraries() -> None:
    try:
        import scipy.sparse  # noqa: F401
        import sklearn.linear_model  # noqa: F401
    except ImportError as error:
        raise UserError("Training needs scikit-learn and SciPy: pip install 'chinwag[train]'.") from error


def known(row: Row, head: str) -> int:
    """1, 0, or -1 for not known. A row known to be safe is a 0 for every kind of harm."""
    if head in row.labels:
        return row.labels[head]
    if row.labels.get("unsafe") == 0 and head not in ("unsafe", "sensitive"):
        return 0
    return -1


def _weights(rows: Sequence[Row]) -> Floats:
    """One weight per row, by the size of its file and how many different templates or talks the file really has."""
    sizes = Counter(row.file for row in rows)
    groups = Counter(file for file, _ in {(row.file, row.group) for row in rows})
    by_file = {f: float(np.clip((6000 / n) ** 0.5, 0.3, 5)) * (groups[f] / n) ** 0.5 for f, n in sizes.items()}
    by_file |= {f: 2.0 for f in sizes if f.startswith("contrast")}
    return np.array([by_file[row.file] for row in rows], np.float32)


def _intercepts(rows: Sequence[Row]) -> Any:
    """A column of ones for each large file with safe and unsafe rows, (rows, files) CSR."""
    from scipy.sparse import csr_matrix

    sizes = Counter((row.file, row.labels.get("unsafe")) for row in rows)
    files = sorted({row.file for row in rows})
    counts = {file: (sizes[file, 0], sizes[file, 1]) for file in files}
    large = [file for file, (safe, unsafe) in counts.items() if safe + unsafe > 2000 and 0 < unsafe <= 1.5 * safe]
    table = np.zeros((len(rows), len(large)), np.float32)
    for column, file in enumerate(large):
        table[[row.file == file for row in rows], column] = 1
    return csr_matrix(table)


def _fit_heads(matrix: Any, targets: Floats, use: NDArray[np.bool_], weights: Floats, c: float, drop: int) -> Floats:
    """Weights and, last, the intercept of each head: (columns - drop + 1, heads). A head without examples stays
    silent."""
    from sklearn.linear_model import LogisticRegression

    columns = matrix.shape[1] - drop
    fitted = np.zeros((columns + 1, targets.shape[1]), np.float32)
    for head in range(targets.shape[1]):
        rows = use & (targets[:, head] >= 0)
        if len(set(targets[rows, head])) < 2:
            fitted[-1, head] = -6
            continue
        model = LogisticRegression(solver="liblinear", C=c, max_iter=200, random_state=0)
        model.fit(matrix[rows], targets[rows, head], sample_weight=weights[rows])
        fitted[:-1, head], fitted[-1, head] = model.coef_[0][:columns], model.intercept_[0]
    return fitted


def _packed(heads: Sequence[str], fitted: Floats, buckets: int) -> Layer:
    """Bucket weights as int8 with one scale per head; calibration to be filled in."""
    table = fitted[:buckets]
    scale = np.maximum(np.percentile(np.abs(table), 99.995, axis=0) / 127, 1e-6).astype(np.float32)
    small = np.clip(np.rint(table / scale), -127, 127).astype(np.int8)
    platt = np.tile(np.array([1.0, 0.0], np.float32), (len(LANGUAGES), len(heads), 1))
    thresholds = np.tile(np.array([0.95, 0.9, 0.8], np.float32), (len(LANGUAGES), len(heads), 1))
    return Layer(tuple(heads), small, scale, fitted[-1].copy(), fitted[buckets:-1].copy(), platt, thresholds)


def _all_logits(layer: Layer, matrix: Any) -> Floats:
    """Logits of many rows at once, (rows, heads), with the packed weights."""
    buckets = len(layer.table)
    sums = matrix[:, :buckets] @ (layer.table.astype(np.float32) * layer.scale)
    return np.asarray(sums + matrix[:, buckets:] @ layer.dense + layer.bias, np.float32)


def _fit_text(rows: Sequence[Row], matrix: Any, on_progress: Callable[[str], None]) -> Layer:
    from scipy.sparse import hstack

    on_progress("fitting the text layer")
    targets = np.array([[known(row, head) for head in TEXT_HEADS] for row in rows], np.float32)
    in_context = {row.file for row in rows if ONLY_IN_CONTEXT & row.labels.keys()}
    alone = np.array([row.file not in in_context for row in rows])
    fit = np.array([row.split == FIT for row in rows]) & alone
    own = _intercepts(rows)
    weights = _weights(rows)
    fitted = _fit_heads(hstack([matrix, own]).tocsr(), targets, fit, weights, _C["text"], own.shape[1])
    layer = _packed(TEXT_HEADS, fitted, 1 << features.BITS)
    spare = np.array([row.split == CALIBRATE for row in rows]) & alone
    return _calibrated(layer, rows, _all_logits(layer, matrix), targets, spare, weights)


def _fit_context(
    rows: Sequence[Row],
    reads: Sequence[linear_model.Read],
    text: Layer,
    logits: Floats,
    on_progress: Callable[[str], None],
) -> Layer:
    on_progress("fitting the context layer")
    chosen = [place for place, row in enumerate(rows) if row.context]
    befores = [read_text(rows[place].context[-1]) for place in chosen]
    answered = np.array([_text_logits(text, before) for before in befores], np.float32)
    dense = np.array([stacked(logits[p], answered[i]) for i, p in enumerate(chosen)], np.float32)
    matrix = context_matrix([reads[p] for p in chosen], befores, dense)
    part = [rows[place] for place in chosen]
    targets = np.array([[known(row, head) for head in CONTEXT_HEADS] for row in part], np.float32)
    weights = _weights(part)
    # Sources about replies teach this layer; mixing in other talk with a context cost seven points of AUC on them.
    taught = {row.file for row in part if ONLY_IN_CONTEXT & row.labels.keys()}
    mine = np.array([row.file in taught for row in part])
    parts = {split: mine & np.array([row.split == split for row in part]) for split in (FIT, CALIBRATE)}
    buckets = 1 << features.CONTEXT_BITS
    layer = _packed(CONTEXT_HEADS, _fit_heads(matrix, targets, parts[FIT], weights, _C["context"], 0), buckets)
    calm = _ordinary(part) & np.array([row.split == CALIBRATE for row in part])
    layer = _calibrated(layer, part, _all_logits(layer, matrix), targets, parts[CALIBRATE] | calm, weights)
    # Calibrated, the layer is fitted once more with the calibration rows: replies in context are scarce.
    whole = _fit_heads(matrix, targets, parts[FIT] | parts[CALIBRATE], weights, _C["context"], 0)
    packed = _packed(CONTEXT_HEADS, whole, buckets)
    # The second fit is surer of itself than the one that was calibrated: higher floors for low, medium and high.
    thresholds = np.maximum(layer.thresholds, np.array([0.92, 0.82, 0.6], np.float32))
    return replace(packed, platt=layer.platt, thresholds=thresholds)


def _text_logits(layer: Layer, seen: linear_model.Read) -> Floats:
    return layer.logits((seen.words, seen.chars), np.zeros(len(layer.dense), np.float32))


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
            layer.thresholds[at, head] = _thresholds(calm)
    return layer


def _ordinary(rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Rows of files in which nothing is unsafe: ordinary talk."""
    unsafe = {row.file for row in rows if row.labels.get("unsafe", 1) or row.labels.get("sensitive")}
    return np.array([row.file not in unsafe for row in rows])


def _platt(logits: Floats, targets: Floats, weights: Floats) -> tuple[float, float]:
    """Slope and offset of a logistic fit to held-back logits; the identity where there is too little to fit."""
    from sklearn.linear_model import LogisticRegression

    if len(set(targets)) < 2 or min(Counter(targets.tolist()).values()) < 5:
        return 1.0, 0.0
    model = LogisticRegression(C=100.0).fit(logits[:, None], targets, sample_weight=weights)
    return max(float(model.coef_[0, 0]), 0.05), float(model.intercept_[0])


def _thresholds(calm: Floats) -> list[float]:
    """Probabilities for levels low, medium and high from those of ordinary lines; never below 0.75, 0.6 and 0.4."""
    floors = {"low": 0.75, "medium": 0.6, "high": 0.4}
    if not len(calm):
        return [0.95, 0.85, 0.7]
    found = {level: max(float(np.quantile(calm, 1 - rate)), floors[level]) for level, rate in ALARM_RATES.items()}
    high = min(found["high"], 0.97)
    medium = min(max(found["medium"], high + 0.005), 0.98)
    return [min(max(found["low"], medium + 0.005), 0.99), medium, high]
