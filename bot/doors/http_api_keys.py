"""Keys of the HTTP API: who may call it, for what, how often. Only hashes are kept.

A key is 256 random bits, so one SHA-256 is enough: there is no password to guess. The file is TOML::

    [keys.laptop]
    sha256 = "…"
    scopes = ["chat"]
    requests_per_minute = 60
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from dialogue.errors import StorageError, UnknownName, UserError

SCOPES: Mapping[str, str] = {
    "chat": "talk to the bot, rate its replies, read and delete the conversations made with this key",
    "moderate": "use the safety filter by itself",
    "metrics": "read /metrics",
    "engine": "act for any person of any door: for a Discord bot or another program of yours",
}
ALL_SCOPES = frozenset(SCOPES)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key. ``requests_per_minute`` of None means the limit in the settings."""

    name: str
    digest: str
    scopes: frozenset[str]
    requests_per_minute: int | None = None


LOCAL = ApiKey("local", "", ALL_SCOPES)
"""Who calls a server without keys, which listens on loopback only."""


def digest_of(secret: str) -> str:
    """What is kept of a key."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(slots=True)
class KeyRing:
    """The keys of the file, read again when it changes, and perhaps one more from the settings."""

    path: Path
    single: str = ""
    _keys: tuple[ApiKey, ...] = field(default=(), init=False)
    _stamp: tuple[int, int] | None = field(default=None, init=False)

    def keys(self) -> tuple[ApiKey, ...]:
        """Every valid key now. UserError when the file is wrong."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, ()
        else:
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp != self._stamp:
                self._keys, self._stamp = read_keys(self.path), stamp
        own = (ApiKey("settings", digest_of(self.single), ALL_SCOPES),) if self.single else ()
        return (*self._keys, *own)

    def find(self, secret: str) -> ApiKey | None:
        """The key that this secret belongs to. Looks at every key, so that the time taken tells nothing."""
        wanted, found = digest_of(secret), None
        for key in self.keys():
            if hmac.compare_digest(key.digest, wanted):
                found = key
        return found


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file; none where there is no file."""
    return tuple(_key(name, entry, path) for name, entry in _entries(path).items())


def _entries(path: Path) -> dict[str, Any]:
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"The key file {path} cannot be read: {error}.") from error
    if not isinstance(keys, dict):
        raise UserError(f"The key file {path} needs tables of the form [keys.NAME].")
    return keys


def _key(name: str, entry: Any, path: Path) -> ApiKey:
    match entry:
        case {"sha256": str(digest), "scopes": list(scopes)} if re.fullmatch(r"[0-9a-f]{64}", digest):
            limit = entry.get("requests_per_minute")
            if limit is not None and (not isinstance(limit, int) or limit < 1):
                raise UserError(f"In {path}, requests_per_minute of the key {name} must be a number above 0.")
            return ApiKey(name, digest, checked_scopes(str(scope) for scope in scopes), limit)
    raise UserError(f"In {path}, the key {name} needs sha256 (64 hexadecimal digits) and a list of scopes.")


def checked_scopes(names: Iterable[str]) -> frozenset[str]:
    """The scopes as a set; UnknownName for one that does not exist."""
    scopes = frozenset(names)
    for name in sorted(scopes - ALL_SCOPES):
        raise UnknownName("scope", name, ALL_SCOPES)
    return scopes


def add_key(path: Path, name: str, scopes: frozenset[str], requests_per_minute: int | None) -> str:
    """Make a key, keep its hash, return the secret: the only time that anybody sees it."""
    if not _NAME.fullmatch(name):
        raise UserError(f"A key's name is made of a-z, 0-9, - and _, at most 40 of them; {name!r} is not.")
    keys = {key.name: key for key in read_keys(path)}
    if name in keys:
        raise UserError(f"There is a key {name!r} already; revoke it first: chinwag keys revoke {name}")
    secret = f"cw-{secrets.token_urlsafe(32)}"
    keys[name] = ApiKey(name, digest_of(secret), scopes, requests_per_minute)
    _write(path, keys.values())
    return secret


def revoke_key(path: Path, name: str) -> None:
    """Remove a key; a running server refuses it from the next request on."""
    keys = {key.name: key for key in read_keys(path)}
    if name not in keys:
        raise UnknownName("key", name, keys)
    del keys[name]
    _write(path, keys.values())


def _write(path: Path, keys: Iterable[ApiKey]) -> None:
    lines = ["# Keys of the HTTP API, as hashes. Made by `chinwag keys`.\n"]
    for key in keys:
        lines.append(f'\n[keys.{key.name}]\nsha256 = "{key.digest}"\n')
        lines.append(f"scopes = [{', '.join(f'{chr(34)}{scope}{chr(34)}' for scope in sorted(key.scopes))}]\n")
        if key.requests_per_minute:
            lines.append(f"requests_per_minute = {key.requests_per_minute}\n")
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.writelines(lines)
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"The key file {path} cannot be written ({error.strerror}).") from error
    finally:
        draft.unlink(missing_ok=True)
