"""Tokenised corpora: flat arrays that are written once to a cache folder and mapped into memory afterwards."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from dialogue.models.base import file_sha256
from dialogue.training.corpus import Cleaner, Counts, Talk, split_talks

FORMAT = 1
ARRAYS = ("ids", "turn_starts", "turn_words", "speakers", "talk_starts", "persona_ids", "persona_starts")


@dataclass(frozen=True)
class TokenTalks:
    """Talks as arrays. Turn ``t`` is ``ids[turn_starts[t]:turn_starts[t + 1]]``, said by ``speakers[t]`` (0 = A) in
    ``turn_words[t]`` words; talk ``k`` has turns ``talk_starts[k]`` to ``talk_starts[k + 1]`` and the persona (of
    speaker 1) ``persona_ids[persona_starts[k]:persona_starts[k + 1]]``.
    """

    ids: NDArray[Any]
    turn_starts: NDArray[np.int64]
    turn_words: NDArray[np.int32]
    speakers: NDArray[np.int32]
    talk_starts: NDArray[np.int64]
    persona_ids: NDArray[Any]
    persona_starts: NDArray[np.int64]

    @property
    def talks(self) -> int:
        """How many talks there are."""
        return len(self.talk_starts) - 1

    def turn(self, index: int) -> list[int]:
        """Token ids of one turn."""
        found: list[int] = self.ids[self.turn_starts[index] : self.turn_starts[index + 1]].tolist()
        return found

    def persona(self, talk: int) -> list[int]:
        """Token ids of the persona of speaker 1; empty where there is none."""
        found: list[int] = self.persona_ids[self.persona_starts[talk] : self.persona_starts[talk + 1]].tolist()
        return found


def tokenise(talks: Iterable[Talk], tokenizer: Tokenizer) -> TokenTalks:
    """All talks as arrays; text that looks like a special token is read as plain text."""
    tokenizer.encode_special_tokens = True
    ids = array("I")
    turn_starts, words, speakers, talk_starts = [0], [], [], [0]
    persona_ids = array("I")
    persona_starts = [0]
    for talk in talks:
        names = {name: index for index, name in enumerate(dict.fromkeys(speaker for speaker, _ in talk.turns))}
        if len(talk.persona) and all(len(name) == 1 for name in names):
            names = {name: ord(name) - ord("A") for name in names}  # a cut talk must keep who is the second speaker
        for encoding, (speaker, text) in zip(_encode(tokenizer, [t for _, t in talk.turns]), talk.turns, strict=True):
            ids.extend(encoding)
            turn_starts.append(len(ids))
            words.append(len(text.split()))
            speakers.append(names[speaker])
        talk_starts.append(len(words))
        if talk.persona:
            persona_ids.extend(_encode(tokenizer, [" ".join(talk.persona)])[0])
        persona_starts.append(len(persona_ids))
    kind = np.uint16 if tokenizer.get_vocab_size() <= 2**16 else np.uint32
    return TokenTalks(
        np.array(ids, kind), np.array(turn_starts, np.int64), np.array(words, np.int32), np.array(speakers, np.int32),
        np.array(talk_starts, np.int64), np.array(persona_ids, kind), np.array(persona_starts, np.int64),
    )  # fmt: skip


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def tokenizer_sha256(tokenizer: Tokenizer) -> str:
    """SHA-256 of the tokenizer's canonical JSON."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A source's talks and what the cleaning counted."""

    talks: TokenTalks
    counts: dict[str, Any]


def cached(
    folder: Path,
    source: str,
    split: str,
    tokenizer: Tokenizer,
    make_cleaner: Callable[[], Cleaner],
    cache: Path,
    on_progress: Callable[[str], None],
    filter_name: str,
) -> Loaded:
    """One source's split, from the cache where file, tokenizer and filter are the same, else made and kept there."""
    files = sorted(folder.glob(f"{source}.*.jsonl.zst"))
    marks = [file_sha256(path) for path in files] + [tokenizer_sha256(tokenizer), filter_name, split, str(FORMAT)]
    place = cache / f"{source}.{split}.{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:16]}"
    if not (place / "counts.json").is_file():
        on_progress(f"Reading {source} ({split}) …")
        counts = Counts()
        _keep(tokenise(make_cleaner().clean(split_talks(folder, source, split), counts), tokenizer), counts, place)
    arrays = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return Loaded(TokenTalks(**arrays), json.loads((place / "counts.json").read_text(encoding="utf-8")))


def _keep(talks: TokenTalks, counts: Counts, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    for name in ARRAYS:
        np.save(partial / f"{name}.npy", getattr(talks, name))
    (partial / "counts.json").write_text(json.dumps(asdict(counts)), encoding="utf-8")
    shutil.rmtree(place, ignore_errors=True)
    partial.rename(place)
