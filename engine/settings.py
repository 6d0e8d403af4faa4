"""Every setting: its meaning, unit, default and environment name (the upper case of the field's).

Settings are read once, at the start of a command, and handed down. A wrong value is one clear message.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.core.errors import CampaignError


class SettingsError(CampaignError):
    """An environment variable with a value that cannot be used."""


class Settings(BaseSettings):
    """What an operator can turn."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    database_url: str = Field("", description="PostgreSQL to use; empty means the embedded server.")
    max_batch_size: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Most conversations a tick claims, or messages a worker leases, at once; "
        "fewer where they take long.",
    )
    stage_delay_factor: float = Field(
        1.0,
        gt=0,
        le=1_000,
        description="Multiplies every delay; below 1 a campaign runs faster. Days become 24 h when not 1.",
    )
    retry_delay_seconds: float = Field(
        300, gt=0, le=86_400, description="Seconds before the first retry; doubles with each further one, with jitter."
    )
    max_attempts: int = Field(
        6, ge=1, le=100, description="Tries of a message or conversation before it is marked failed."
    )
    lease_seconds: float = Field(
        120, ge=1, le=86_400, description="Seconds a worker may hold a message while it sends."
    )
    campaign_metrics_ttl: float = Field(
        600, ge=0, description="Seconds that get_campaign_metrics may answer from its cache."
    )
    campaign_channels: Annotated[dict[str, str], NoDecode] = Field(
        {}, description="Where each channel goes: email=file:/path/out.jsonl,sms=console."
    )
    unsubscribe_url: str = Field(
        "",
        description="The page where people opt out, as messages show it; {conversation} becomes the conversation's id.",
    )
    campaign_home: Path | None = Field(
        None, description="Folder of the embedded server; default the user's data directory."
    )
    campaign_allow_time_travel: bool = Field(False, description="Allow --now on a database that is not embedded.")
    poll_seconds: float = Field(
        1.0, gt=0, le=3_600, description="Seconds between looks for work when there was none and no hint came."
    )
    metrics_listen: str = Field(
        "127.0.0.1:9464", description="HOST:PORT where campaign run serves metrics and health; off for nowhere."
    )
    statement_timeout_seconds: float = Field(
        60, gt=0, le=3_600, description="PostgreSQL ends a statement after this long."
    )
    partition_days: int = Field(30, ge=1, le=366, description="Days that a partition of history and outbox spans.")
    partitions_ahead: int = Field(3, ge=1, le=36, description="Partitions made ahead of the present one.")
    keep_history_days: int = Field(
        0, ge=0, le=36_500, description="Days after which history and outbox are dropped; 0 keeps them for ever."
    )
    log_level: str = Field(
        "INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="The least severe log lines shown."
    )

    @field_validator("metrics_listen")
    @classmethod
    def _check_address(cls, value: str) -> str:
        if value != "off":
            address_of(value)
        return value

    @field_validator("campaign_channels", mode="before")
    @classmethod
    def _parse_channels(cls, value: object) -> object:
        """`email=console,sms=file:/tmp/out.jsonl` as a mapping from channel name to target."""
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        channels = dict(part.split("=", 1) for part in parts if "=" in part)
        if len(channels) < len(parts):
            raise ValueError("expected name=target pairs with commas between, each name once")
        return channels


def address_of(text: str) -> tuple[str, int]:
    """The host and port of HOST:PORT; an IPv6 address stands in brackets. Raises ValueError.

    >>> address_of("127.0.0.1:9464"), address_of("[::1]:0")
    (('127.0.0.1', 9464), ('::1', 0))
    """
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not bare or (":" in bare and bare == host) or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError("expected HOST:PORT such as 127.0.0.1:9464, or off")
    return bare, int(port)


def load_settings(**overrides: object) -> Settings:
    """The settings of the environment. Raises SettingsError with each wrong variable and what was expected."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in each['loc']).upper()}: {each['msg'].removeprefix('Value error, ')}, "
            f"got {each['input']!r}"
            for each in error.errors(include_url=False)
        ]
        raise SettingsError(
            "wrong settings:\n  " + "\n  ".join(lines), hint="Correct or unset these environment variables."
        ) from error
