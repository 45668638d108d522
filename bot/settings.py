"""Settings, read once: CHINWAG_… variables, then a .env file, then a TOML file, then the defaults below.

Units are in the names. ``describe`` tells for each setting its value and where it came from.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from platformdirs import user_data_path
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from dialogue.decoding.config import preset
from dialogue.errors import UnknownName, UserError
from dialogue.persona_cards import load_persona

PREFIX = "CHINWAG_"


class Settings(BaseSettings):
    """Every setting of the program."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    data_folder: Path = Field(user_data_path("chinwag"), description="where the history and the log are kept")
    database_url: str = Field("", description="history database; empty: chinwag.sqlite3 in the data folder")
    person_key: SecretStr = Field(
        SecretStr(""), description="secret that people's ids are hashed with; empty: a key file"
    )
    model: str = Field("", description="model name, checkpoint folder or hub id; empty: the default model")
    dtype: str = Field("auto", description="precision of the weights: auto, float32, bfloat16 or int8")
    threads: int = Field(0, ge=0, le=256, description="processor threads for the model; 0: one per core it may use")
    persona: str = Field("robin", description="persona card that conversations start with")
    preset: str = Field("", description="decoding preset; empty: the model's own")
    reply_timeout_s: float = Field(60.0, gt=0, description="seconds until a message is answered or given up")
    history_turns: int = Field(40, ge=2, le=1000, description="turns loaded as context for a reply")
    max_message_chars: int = Field(4000, ge=1, description="longest message that is read")
    max_queue: int = Field(64, ge=1, description="messages that may wait for the model; more are refused")
    max_batch: int = Field(8, ge=1, description="conversations decoded together")
    max_wait_s: float = Field(0.005, ge=0, description="seconds an idle model waits for company before it starts")
    max_per_person: int = Field(5, ge=1, description="messages one person may have under way at once")
    retention_days: int = Field(90, ge=0, description="days until stored conversations are deleted; 0: kept for ever")
    safety_policy: str = Field("", description="a policy file of your own; empty: the shipped one")
    host: str = Field("127.0.0.1", description="address that the HTTP API listens on; others than loopback need keys")
    port: int = Field(8000, ge=0, le=65535, description="port of the HTTP API; 0: any free one")
    api_keys_file: str = Field("", description="file of the HTTP API's keys; empty: api-keys.toml in the data folder")
    api_key: SecretStr = Field(
        SecretStr(""),
        description="one key with every scope: for `serve`, and for calling it as engine_url",
    )
    engine_url: str = Field("", description="address of a `chinwag serve` that answers; empty: this process")
    http_max_body_kb: int = Field(256, ge=1, le=65536, description="largest request that the HTTP API reads, in KiB")
    http_read_timeout_s: float = Field(10.0, gt=0, description="seconds a client may take to send a request")
    http_max_connections: int = Field(512, ge=1, description="connections held at once; more are refused")
    http_requests_per_minute: int = Field(120, ge=1, description="requests a minute for keys that have no own limit")
    http_at_once: int = Field(64, ge=1, description="requests one key may have under way at once")
    http_origins: str = Field("", description="web origins that may call the HTTP API, comma-separated; empty: none")
    discord_token: SecretStr = Field(SecretStr(""), description="token of the Discord bot")
    discord_message_content: bool = Field(
        False, description="ask Discord for the privileged message content intent: needed for open channels only"
    )
    discord_cooldown_s: float = Field(1.5, ge=0, description="seconds between two messages of a person on Discord")
    discord_channel_queue: int = Field(5, ge=1, description="messages that may wait in one Discord channel")
    discord_shards: int = Field(0, ge=0, description="Discord shards; 0: as many as Discord advises")
    discord_shard_ids: str = Field(
        "", description="those shards that this process holds, such as 0-3,8; empty: all of discord_shards"
    )
    discord_health_port: int = Field(0, ge=0, le=65535, description="port of the Discord bot's health page; 0: none")
    discord_api_url: str = Field("", description="another Discord REST address, for tests; empty: Discord's")
    discord_gateway_url: str = Field("", description="another Discord gateway, for tests; empty: Discord's")
    log_level: str = Field("warning", description="debug, info, warning or error; message text is never logged")

    @property
    def database(self) -> str:
        """The database URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_folder / 'chinwag.sqlite3'}"

    @property
    def api_keys_path(self) -> Path:
        """The file of the HTTP API's keys."""
        return Path(self.api_keys_file) if self.api_keys_file else self.data_folder / "api-keys.toml"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add secret files and the TOML file behind the environment and the .env file."""
        secret_files = SecretsSettingsSource(settings_cls, secrets_dir=secrets_folder())
        return init_settings, env_settings, dotenv_settings, secret_files, _TomlFile(settings_cls)


class _TomlFile(PydanticBaseSettingsSource):
    """``chinwag.toml`` in the working folder, or the file that CHINWAG_CONFIG names."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return toml_values().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return toml_values()


def toml_file() -> Path:
    """The settings file in use, whether it exists or not."""
    return Path(os.environ.get(f"{PREFIX}CONFIG", "chinwag.toml"))


def toml_values() -> dict[str, Any]:
    """What the TOML file says; nothing where there is none."""
    path = toml_file()
    if not path.is_file():
        if f"{PREFIX}CONFIG" in os.environ:
            raise UserError(f"The settings file {path} does not exist; correct {PREFIX}CONFIG.")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"The settings file {path} cannot be read: {error}.") from error


def secrets_folder() -> Path | None:
    """Where container secrets lie, a file named ``chinwag_SETTING`` each: CHINWAG_SECRETS_FOLDER or /run/secrets."""
    named = os.environ.get(f"{PREFIX}SECRETS_FOLDER")
    folder = Path(named or "/run/secrets")
    if named and not folder.is_dir():
        raise UserError(f"The secrets folder {folder} does not exist; correct {PREFIX}SECRETS_FOLDER.")
    return folder if folder.is_dir() else None


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; ``overrides`` of None are left out. UserError names what is wrong and where."""
    _refuse_unknown()
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        value = "(hidden)" if _is_secret(name) else repr(first.get("input"))
        raise UserError(
            f"The setting {name} = {value} is not valid ({first['msg']}); it comes from {_origin(name)}."
        ) from None
    _check_names(settings)
    return settings


def _check_names(settings: Settings) -> None:
    """Wrong names are told before anything slow starts."""
    load_persona(settings.persona)
    if settings.preset:
        preset(settings.preset)


def _refuse_unknown() -> None:
    """A misspelt setting is an error, not silence."""
    known = set(Settings.model_fields)
    for origin, names in _given().items():
        for name in names:
            if name not in known:
                raise UnknownName(f"setting (in {origin})", name, known)


def _given() -> dict[str, set[str]]:
    """Names of the settings given by each source, strongest first."""

    def own(names: Any) -> set[str]:
        return {n[len(PREFIX) :].lower() for n in names if n.upper().startswith(PREFIX)} - {"config", "secrets_folder"}

    return {
        "the environment": own(os.environ),
        "the file .env": own(dotenv_values(".env")),
        f"the folder {secrets_folder()}": own(path.name for path in _secret_files()),
        f"the file {toml_file()}": set(toml_values()),
    }


def _secret_files() -> list[Path]:
    folder = secrets_folder()
    return sorted(folder.iterdir()) if folder else []


def _origin(name: str) -> str:
    return next((origin for origin, names in _given().items() if name in names), "the default")


def _is_secret(name: str) -> bool:
    return Settings.model_fields[name].annotation is SecretStr if name in Settings.model_fields else False


def describe(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Rows of (variable, value, origin, meaning); secrets and passwords in URLs are hidden."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        shown = (
            ("(set)" if value.get_secret_value() else "") if isinstance(value, SecretStr) else hide_password(str(value))
        )
        rows.append((f"{PREFIX}{name.upper()}", shown, _origin(name), field.description or ""))
    return rows


def hide_password(url: str) -> str:
    """A URL with its password replaced by stars; other texts unchanged."""
    scheme, separator, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}{separator}{user}:***{at}{place}" if separator and at and colon else url
