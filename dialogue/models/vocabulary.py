"""Text to token ids and back, over the ``tokenizers`` library alone.

The fast path to a prompt: nothing here imports transformers. Knows nothing about conversations (formats.py) or about
tokenizers that exist only as Python code (huggingface.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from dialogue.errors import UserError


def sound(text: str) -> str:
    """The text with lone surrogates replaced: no tokenizer can encode them."""
    return text.encode("utf-8", "replace").decode("utf-8")


class SpecialTokens:
    """Finds text that looks like a special token, and cuts it after its first character so that it stays text.

    Needed besides the tokenizers' own switches: a unigram vocabulary (T5, mBART) holds ``</s>`` as an ordinary piece.
    """

    def __init__(self, tokens: Iterable[str]) -> None:
        longest_first = sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def cut(self, text: str) -> list[str]:
        """The text in pieces, none of which holds a whole special token; one piece where there was none."""
        if self._pattern is None:
            return [text]
        pieces, start = [], 0
        while found := self._pattern.search(text, start):
            pieces.append(text[start : found.start() + 1])
            start = found.start() + 1
        return [*pieces, text[start:]]


class TokenizerVocabulary:
    """A ``tokenizer.json`` behind the Vocabulary protocol."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = (
            True  # a person who types "<|im_end|>" gets these characters, not a control token
        )
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder().values()
        self._special = SpecialTokens(token.content for token in added if token.special)

    @classmethod
    def from_file(cls, path: Path) -> TokenizerVocabulary:
        """Reads ``tokenizer.json``; raises :class:`UserError` when the file is missing or damaged."""
        if not path.is_file():
            raise UserError(f"{path} is missing: the checkpoint has no tokenizer; copy its tokenizer.json there.")
        try:
            return cls(Tokenizer.from_str(path.read_text(encoding="utf-8")))
        except Exception as error:  # the library raises bare Exception for a file it cannot parse
            raise UserError(f"{path} is damaged and cannot be read as a tokenizer ({error}); get it again.") from error

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; text that looks like a special token is read as plain text."""
        pieces = self._special.cut(sound(text))
        return [i for piece in pieces for i in self._tokenizer.encode(piece, add_special_tokens=False).ids]

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text, special tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def token_id(self, token: str) -> int | None:
        """The id of one exact token such as ``<|im_start|>``, or None where there is no such token."""
        found = self._tokenizer.token_to_id(token)
        return None if found is None else int(found)
