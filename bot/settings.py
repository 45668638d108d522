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
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from dialogue.errors import UnknownName, UserError

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
    threads: int = Field(0, ge=0, le=256, description="processor threads for the model; 0: all cores")
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
    log_level: str = Field("warning", description="debug, info, warning or error; message text is never logged")

    @property
    def database(self) -> str:
        """The database URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_folder / 'chinwag.sqlite3'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the TOML file behind the environment and the .env file."""
        return init_settings, env_settings, dotenv_settings, _TomlFile(settings_cls), file_secret_settings


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


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; ``overrides`` of None are left out. UserError names what is wrong and where."""
    _refuse_unknown()
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        value = "(hidden)" if _is_secret(name) else repr(first.get("input"))
        raise UserError(
            f"The setting {name} = {value} is not valid ({first['msg']}); it comes from {_origin(name)}."
        ) from None


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
        return {n[len(PREFIX) :].lower() for n in names if n.upper().startswith(PREFIX)} - {"config"}

    return {
        "the environment": own(os.environ),
        "the file .env": own(dotenv_values(".env")),
        f"the file {toml_file()}": set(toml_values()),
    }


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
