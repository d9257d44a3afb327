"""Where a home's ledger and checkpoints are: in files of its own, or in PostgreSQL, where several machines share them.

Knows addresses; opens nothing. An address is written without its password wherever it is written.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from workspace.errors import UsageError, masked
from workspace.layers import environment, toml_layer

KEY = "ledger.url"
"""The setting. It belongs to a home as its files do: the environment and the home's own ``studio.toml`` set it."""


@dataclass(frozen=True, repr=False)
class Address:
    """A database of PostgreSQL; as text it shows neither user nor password.

    Attributes:
        url: As libpq reads it: ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE``.
    """

    url: str

    def __str__(self) -> str:
        return masked(self.url)

    __repr__ = __str__


def checked(url: str) -> str:
    """The address, if it looks like one.

    Raises:
        ValueError: It does not; its text, in which a password may stand, is not told.
    """
    if not url.startswith(("postgresql://", "postgres://")) or any(sign.isspace() for sign in url):
        raise ValueError("must be an address of PostgreSQL, such as postgresql://HOST/DATABASE")
    return url


def _nothing(value: Any) -> Any:
    return None if value in ("none", "") else value


class LedgerSettings(BaseModel):
    """Where jobs, runs and checkpoints are entered: in the home's own files, or in PostgreSQL for several machines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[
        Annotated[str, Field(max_length=2000), AfterValidator(checked)] | None, BeforeValidator(_nothing)
    ] = Field(None, description="PostgreSQL that several machines share: postgresql://USER@HOST/DATABASE; none: files")

    def __repr_args__(self) -> Iterator[tuple[str, str | None]]:
        """Show no password where settings are printed."""
        yield "url", masked(self.url) if self.url else None


def the_home_s(said: LedgerSettings, info: ValidationInfo) -> LedgerSettings:
    """Settings of a ledger, unless they name another than the one that all processes of the home open.

    Raises:
        ValueError: They do.
    """
    if said.url and Address(said.url) != database_of(info.data["home"], ""):
        raise ValueError(f"is set in the home's studio.toml or by STUDIO_LEDGER__URL alone ({KEY})")
    return said


def database_of(home: Path, name: str) -> Path | Address:
    """Where the database is that lies in a home under a name, unless the home's ledger is in PostgreSQL.

    Args:
        home: STUDIO_HOME.
        name: The file's name, such as ``ledger.db``.

    Raises:
        UsageError: ``ledger.url`` is no address.
    """
    layers = [environment(os.environ, home), *toml_layer(home / "studio.toml")]
    said = next((layer for layer in layers if layer.has(KEY)), None)
    url = said.get(KEY) if said else "none"
    if said is None or url in ("none", ""):
        return home / name
    try:
        return Address(checked(str(url)))
    except ValueError as error:
        raise UsageError(f"{said.place(KEY)}: {KEY} {error}") from None
