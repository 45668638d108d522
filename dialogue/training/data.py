"""A run's data: the sources of its mix, cleaned and tokenised, training and validation parts, and their manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from dialogue.training.corpus import (
    Cleaner,
    Counts,
    Talk,
    TextFilter,
    load_mix,
    refuse_unshippable,
    source_records,
    test_fingerprints,
)
from dialogue.training.identity import SOURCE as IDENTITY
from dialogue.training.identity import TALKS, identity_talks
from dialogue.training.own_talks import FOLDERS, own_talks
from dialogue.training.recipes import Recipe
from dialogue.training.tokens import Loaded, TokenTalks, cached, tokenise, tokenizer_sha256

OWN: dict[str, Callable[[], Iterator[Talk]]] = {
    IDENTITY: partial(identity_talks, TALKS),
    **{source: partial(own_talks, source) for source in FOLDERS},
}
"""The sources that come with the program; in them the second speaker is the bot."""


@dataclass(frozen=True, slots=True)
class Filtering:
    """The filter to apply: a name for the record and the cache, and the function that makes it when it is needed."""

    name: str
    make: Callable[[], TextFilter]


@dataclass(frozen=True, slots=True)
class Data:
    """Token talks by source, the weights of the mix, and the manifest of where all of it came from."""

    train: dict[str, TokenTalks]
    valid: dict[str, TokenTalks]
    weights: dict[str, float]
    manifest: dict[str, Any]


def mix_of(recipe: Recipe, folder: Path) -> dict[str, float]:
    """The recipe's weights by source, looked up in the folder when the recipe names a mix."""
    return load_mix(folder, recipe.mix) if recipe.mix else dict(recipe.weights)


def prepare(
    recipe: Recipe,
    folder: Path,
    tokenizer: Tokenizer,
    filtering: Filtering,
    cache: Path,
    on_progress: Callable[[str], None],
    research: bool = False,
) -> Data:
    """Read, clean and tokenise what the recipe needs, from the cache where it was done before.

    Raises UserError when a source is missing, or when its licence forbids a shipped model and ``research`` is not set.
    """
    weights, records = mix_of(recipe, folder), source_records(folder)
    weights |= recipe.own
    records = records | {source: {"licence_class": "permissive"} for source in recipe.own}
    if not research:
        refuse_unshippable(records, weights)
    load = _Loader(folder, tokenizer, filtering, cache, on_progress)
    train = {source: load(source, "train") for source in weights}
    valid = {source: load(source, "valid") for source in recipe.measured if source in weights}
    manifest = _manifest(weights, records, train, tokenizer, filtering.name)
    talks = {source: loaded.talks for source, loaded in train.items()}
    held_out = {source: loaded.talks for source, loaded in valid.items() if loaded.talks.talks}
    return Data(talks, held_out, weights, manifest)


class _Loader:
    """Loads sources one by one; test talks are read, and the filter made, only when something is not cached yet."""

    def __init__(
        self, folder: Path, tokenizer: Tokenizer, filtering: Filtering, cache: Path, on_progress: Callable[[str], None]
    ) -> None:
        self.folder, self.tokenizer, self.filtering = folder, tokenizer, filtering
        self.cache, self.on_progress = cache, on_progress
        self._forbidden: set[int] | None = None
        self._filter: TextFilter | None = None

    def __call__(self, source: str, split: str) -> Loaded:
        if source in OWN:
            return self._own(source)
        return cached(
            self.folder,
            source,
            split,
            self.tokenizer,
            self._cleaner,
            self.cache,
            self.on_progress,
            self.filtering.name,
        )

    def _own(self, source: str) -> Loaded:
        counts = Counts()
        cleaner = Cleaner(forbidden=test_fingerprints(self.folder))
        talks = cleaner.clean(OWN[source](), counts, again=source == IDENTITY)
        return Loaded(tokenise(talks, self.tokenizer), asdict(counts))

    def _cleaner(self) -> Cleaner:
        if self._forbidden is None or self._filter is None:
            self._forbidden, self._filter = test_fingerprints(self.folder), self.filtering.make()
        return Cleaner(self._filter, self._forbidden)


def _manifest(
    weights: Mapping[str, float],
    records: Mapping[str, Mapping[str, Any]],
    train: Mapping[str, Loaded],
    tokenizer: Tokenizer,
    filter_name: str,
) -> dict[str, Any]:
    total = sum(weights[s] * len(loaded.talks.ids) for s, loaded in train.items())
    sources = {
        source: {
            "weight": weights[source],
            "share": round(weights[source] * len(loaded.talks.ids) / total, 4) if total else 0.0,
            "tokens": len(loaded.talks.ids),
            "licence_class": records.get(source, {}).get("licence_class", "unclear"),
            "licence": records.get(source, {}).get("licence", ""),
            "tokens_sha256": hashlib.sha256(loaded.talks.ids.tobytes()).hexdigest(),
            **loaded.counts,
        }
        for source, loaded in train.items()
    }
    return {"filter": filter_name, "tokenizer_sha256": tokenizer_sha256(tokenizer), "sources": sources}
