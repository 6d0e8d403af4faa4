"""Campaign types in the database: registered once, the same for ever, compiled once in a process.

A (name, version) never changes its meaning: conversations are pinned to it. Its content hash covers all that
conversations can notice, the messages' texts too, but not comments and layout of the YAML. The order of keys
counts, since labels are tried in order.
"""

from __future__ import annotations

from hashlib import sha256

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.core.compiled import CompiledType
from engine.core.errors import DecisionError, RefusedError, UnknownError
from engine.core.loader import LoadedType
from engine.core.machine import compile_campaign_type
from engine.core.problems import expected_one_of
from engine.core.spec import CampaignTypeSpec
from engine.db.campaigns import CampaignRepository, TypeRow
from engine.db.database import find_time
from engine.plugins import use_installed_plugins


async def register(connection: AsyncConnection, loaded: LoadedType) -> tuple[str, int, bool]:
    """Keep a campaign type: its name, its version, and whether it is new. The same content again changes nothing.

    Raises RefusedError when that version is there with another content.
    """
    spec = loaded.spec
    name, version, content_hash = spec.campaign_type, spec.version, hash_of(spec)
    repository = CampaignRepository(connection)
    at = await find_time(connection)
    row = TypeRow(name, version, spec.title, content_hash, spec.as_json(), loaded.source, at)
    if await repository.insert_type(row):
        return name, version, True
    known = await repository.find_type(name, version)
    if known is None or known.content_hash != content_hash:
        free = max((await repository.find_versions())[name]) + 1
        raise RefusedError(
            f"{name} version {version} is registered with another content; a version never changes",
            hint=f"Raise version to {free}.",
        )
    return name, version, False


def hash_of(spec: CampaignTypeSpec) -> str:
    """The content hash of a campaign type whose message files are embedded."""
    return sha256(orjson.dumps(spec.as_json())).hexdigest()


class TypeRegistry:
    """The compiled campaign types of this process, each read from the database once."""

    def __init__(self, delay_factor: float = 1.0) -> None:
        self.delay_factor = delay_factor
        self._compiled: dict[tuple[str, int], CompiledType] = {}

    async def get(self, connection: AsyncConnection, name: str, version: int) -> CompiledType:
        """A registered version, ready to run. Raises UnknownError, or DecisionError when it cannot be read."""
        if (known := self._compiled.get((name, version))) is not None:
            return known
        row = await CampaignRepository(connection).find_type(name, version)
        if row is None:
            raise await _unknown(connection, name, version)
        use_installed_plugins()
        compiled = self._compiled[name, version] = _compile(row, self.delay_factor)
        return compiled

    async def latest(self, connection: AsyncConnection, name: str) -> CompiledType:
        """The highest registered version of a type. Raises UnknownError."""
        versions = (await CampaignRepository(connection).find_versions()).get(name)
        if not versions:
            raise await _unknown(connection, name)
        return await self.get(connection, name, versions[-1])


def _compile(row: TypeRow, delay_factor: float) -> CompiledType:
    try:
        return compile_campaign_type(CampaignTypeSpec.model_validate(row.spec), delay_factor)
    except ValueError as error:  # pydantic's own is one
        raise DecisionError(
            f"{row.name} version {row.version} was registered in a form that this program cannot read",
            hint="Use the program's version that registered it, or a newer one, with the plug-ins that it uses.",
        ) from error


async def _unknown(connection: AsyncConnection, name: str, version: int | None = None) -> UnknownError:
    """What is wrong with a name or version nobody registered, and how to go on."""
    known = await CampaignRepository(connection).find_versions()
    if name in known:
        versions = ", ".join(str(each) for each in known[name])
        message = f"{name} has no version {version}; expected one of {versions}"
    elif known:
        message = f"unknown campaign type {name}; {expected_one_of(name, known)}"
    else:
        message = f"unknown campaign type {name}; none is registered"
    return UnknownError(message, hint="Register it with: campaign types register PATH")
