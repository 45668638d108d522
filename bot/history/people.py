"""People under a keyed hash: whoever gets hold of the database alone cannot tell who spoke, nor try names out.

The key is secret and lives apart from the rows: in ``CHINWAG_PERSON_KEY``, or in a file beside the database.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from dialogue.errors import StorageError, UserError
from dialogue.turns import PersonKey

SHORTEST_KEY = 16
"""Bytes; RFC 2104 advises no less than the security wanted, and 16 random bytes cannot be guessed."""


class Pseudonyms:
    """HMAC-SHA256 (RFC 2104) of door and name under one secret key."""

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY:
            raise UserError(f"The person key is too short: CHINWAG_PERSON_KEY needs at least {SHORTEST_KEY} bytes.")
        self._key = key

    def of(self, person: PersonKey) -> str:
        """64 hexadecimal digits, the same for the same person for as long as the key is."""
        return self._digest(f"person\0{person.door}\0{person.name}")

    def fingerprint(self) -> str:
        """Tells two keys apart without giving either away."""
        return self._digest("fingerprint")[:16]

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), sha256).hexdigest()


def key_file(database: Path) -> Path:
    """Where the key of a SQLite database lies when no key was given."""
    return database.with_name(database.name + ".key")


def read_key(path: Path) -> bytes | None:
    """The key in a file, as CHINWAG_PERSON_KEY would hold it; None where there is no file."""
    try:
        return path.read_bytes().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"The person key {path} cannot be read: {error.strerror}.") from None


def make_key(path: Path) -> bytes:
    """A new random key in a new file that only its owner may read; if another process was faster, its key."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    except OSError as error:
        raise StorageError(f"The person key {path} cannot be written: {error.strerror}.") from None
    finally:
        draft.unlink(missing_ok=True)
    key = read_key(path)
    if key is None:
        raise StorageError(f"The person key {path} disappeared while it was being made; start again.")
    return key
