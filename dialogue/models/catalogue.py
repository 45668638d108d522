"""The models this program knows by name: where each comes from, under which licence, how large it is, what it speaks.

Data and look-ups only; loading them is dialogue/models/loading.py. Any other folder or hub id can be loaded as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dialogue.models.base import NAME as BASE_NAME
from dialogue.models.base import default_cache

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
TRAINED_NAME = "chinwag-135m"


class Source(StrEnum):
    """Where a model's weights come from."""

    BASE = "base"  # the base model, from its Python package
    ADAPTERS = "adapters"  # trained here, shipped in dialogue/weights, over the base model
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class Entry:
    """One known model; ``megabytes`` is the download, ``languages`` are ISO 639-1 codes."""

    name: str
    source: Source
    origin: str
    licence: str
    megabytes: int
    languages: frozenset[str]
    summary: str


_EN = frozenset({"en"})
_MANY = frozenset({"en", "ko", "de", "fr", "es", "it", "ja", "zh", "ru", "ar", "hi", "pt", "nl", "tr", "vi", "pl"})


def _hub(name: str, origin: str, licence: str, megabytes: int, summary: str, languages: frozenset[str] = _EN) -> Entry:
    return Entry(name, Source.HUB, origin, licence, megabytes, languages, summary)


_ENTRIES = (
    Entry(
        TRAINED_NAME,
        Source.ADAPTERS,
        "this repository, over HuggingFaceTB/SmolLM2-135M-Instruct",
        "Apache-2.0",
        93,
        _EN,
        "our encoder–decoder, fine-tuned on conversations",
    ),
    Entry(
        BASE_NAME,
        Source.BASE,
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "Apache-2.0",
        93,
        _EN,
        "the base model as it comes: fluent, but poor company",
    ),
    _hub("blenderbot-90m", "facebook/blenderbot_small-90M", "Apache-2.0", 350, "Roller et al. 2020, the small one"),
    _hub("blenderbot-400m", "facebook/blenderbot-400M-distill", "Apache-2.0", 730, "Roller et al. 2020, distilled"),
    _hub("dialogpt-small", "microsoft/DialoGPT-small", "MIT", 350, "Zhang et al. 2020, decoder-only"),
    _hub("dialogpt-medium", "microsoft/DialoGPT-medium", "MIT", 860, "Zhang et al. 2020, decoder-only"),
    _hub(
        "bart-large",
        "facebook/bart-large",
        "Apache-2.0",
        1020,
        "Lewis et al. 2020: to be fine-tuned",
    ),
    _hub(
        "mbart-50",
        "facebook/mbart-large-50-many-to-many-mmt",
        "MIT",
        2440,
        "Tang et al. 2020: a translator, to be fine-tuned",
        _MANY,
    ),
    _hub("flan-t5-small", "google/flan-t5-small", "Apache-2.0", 310, "Chung et al. 2022: follows instructions"),
    _hub("mt5-small", "google/mt5-small", "Apache-2.0", 1200, "Xue et al. 2021: a start for fine-tuning", _MANY),
    _hub("m2m100-418m", "facebook/m2m100_418M", "MIT", 1940, "Fan et al. 2021: a translator", _MANY),
    _hub("switch-base-8", "google/switch-base-8", "Apache-2.0", 1240, "Fedus et al. 2022: mixture of experts"),
)
CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def trained_folder() -> Path:
    """Where the trained adapters lie when this copy of the program has them."""
    return WEIGHTS / TRAINED_NAME


def default_name() -> str:
    """The model that serves when none is named: the trained one where it is on disk, else the base model."""
    return TRAINED_NAME if (trained_folder() / "config.json").is_file() else BASE_NAME


def is_on_disk(entry: Entry, cache: Path | None = None) -> bool:
    """Whether loading the entry needs no network."""
    if entry.source is Source.HUB:
        return _in_hub_cache(entry.origin, cache)
    base = (cache or default_cache()) / "models" / BASE_NAME / "config.json"
    return base.is_file() and (entry.source is Source.BASE or (trained_folder() / "config.json").is_file())


def _in_hub_cache(hub_id: str, cache: Path | None) -> bool:
    from dialogue.models.hub import present

    return present(hub_id, cache) is not None
