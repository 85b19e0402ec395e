"""Settings of a service."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import Field, model_validator

from mynah.config import Config

#: Names by which a machine calls itself.
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ServeConfig(Config):
    """Where a service listens, who may ask, and how much."""

    host: str = Field("127.0.0.1", description="address; any but loopback needs a key")
    port: int = Field(8080, ge=0, le=65_535, description="0: any that is free")
    hosts: tuple[str, ...] = Field(
        (), description="names by which clients may call it, besides the address itself"
    )
    key_hashes: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = Field(
        (), description="SHA-256 of each key that may ask, hexadecimal; none: anybody"
    )
    most_waiting: int = Field(128, ge=1, description="requests that may wait; then 503")
    rows: int = Field(64, ge=1, description="of a model, decoded at once at most; fewer where they are long")
    kept_bytes: int = Field(
        1 << 28,
        ge=0,
        description="of each model, for what was read of prompts, so that it need not be read again",
    )
    max_body: int = Field(1 << 20, ge=1024, description="bytes of a request's body")
    max_header: int = Field(16_384, ge=1024, description="bytes of a request's head")
    max_depth: int = Field(32, ge=4, description="brackets within brackets of a body")
    max_tokens: int = Field(4096, ge=1, description="tokens that a request may ask for")
    max_choices: int = Field(16, ge=1, description="choices that a request may ask for, of all its prompts")
    guess: bool = Field(
        True, description="guess tokens ahead, by the log's n-gram model and by what a text repeats"
    )
    read_seconds: float = Field(15.0, gt=0, description="for a request to arrive whole")
    send_seconds: float = Field(30.0, gt=0, description="for a client to take what it is sent")
    grace_seconds: float = Field(10.0, ge=0, description="for what is under way when it is told to stop")

    @model_validator(mode="after")
    def _check(self) -> ServeConfig:
        if not self.is_local and not self.key_hashes:
            raise ValueError(
                f"host {self.host} can be reached from other machines; expected a key beside it (--key-file FILE, or "
                "MYNAH_API_KEY), or --host 127.0.0.1"
            )
        return self

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.host in LOOPBACK:
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def names(self) -> frozenset[str]:
        """Names that a Host header may have, in lower case and without a port."""
        bound = () if self.host in ("0.0.0.0", "::") else (self.host,)
        return frozenset(name.lower().strip("[]") for name in (*LOOPBACK, *bound, *self.hosts))
