"""Recipients, and how many of them enter a campaign at once.

An audience goes by COPY into a temporary table of the connection, then bucket by bucket into `recipients` and
`conversations`: two statements a bucket, each naming its one bucket, each idempotent by primary key. Rows are
written in the order of their keys, which is kind to the indexes and keeps two enrolments from deadlocking.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.db.database import driver_of
from engine.db.progress import progress_of_new


class StagedRow(NamedTuple):
    """One recipient to enrol, all in text: ids in hexadecimal, `facts` as JSON, what is missing empty."""

    bucket: str
    recipient_id: str
    conversation_id: str
    key: str
    email: str
    phone: str
    timezone: str
    locale: str
    lane: str
    facts: str


@dataclass(frozen=True, slots=True)
class NewConversations:
    """What the conversations of one enrolment have in common. `zone` is for recipients without one."""

    campaign_id: UUID
    version: int
    facts: dict[str, Any]
    zone: str
    due_at: datetime
    enrolled_at: datetime


_CREATE_STAGING = text("""
    CREATE TEMPORARY TABLE staged (
        bucket smallint, recipient_id uuid, conversation_id uuid, key text, email text, phone text,
        timezone text, locale text, lane smallint, facts jsonb
    )
""")
_COPY_STAGED = "COPY staged FROM STDIN (FORMAT text, NULL '')"
_INDEX_STAGED = text("CREATE INDEX ON staged (bucket)")
_COUNT_STAGED = text("SELECT bucket, count(*) AS rows FROM staged GROUP BY bucket ORDER BY bucket")

# What the file leaves out stays as it is. Rows that would change nothing are left out here, so that enrolling a file
# again writes and locks nothing; the conflict is then only with somebody who enrols the same recipient right now.
_UPSERT_RECIPIENTS = text("""
    INSERT INTO campaign_engine.recipients AS known
        (bucket, id, key, email, phone, timezone, locale, facts, created_at)
    SELECT CAST(:bucket AS smallint), staged.recipient_id, staged.key, staged.email, staged.phone, staged.timezone,
           staged.locale, staged.facts, :at
    FROM staged
    LEFT JOIN campaign_engine.recipients AS old ON old.bucket = :bucket AND old.id = staged.recipient_id
    WHERE staged.bucket = :bucket
      AND (old.id IS NULL
           OR staged.email <> coalesce(old.email, '')
           OR staged.phone <> coalesce(old.phone, '')
           OR staged.timezone <> coalesce(old.timezone, '')
           OR staged.locale <> coalesce(old.locale, '')
           OR NOT old.facts @> staged.facts)
    ORDER BY staged.recipient_id
    ON CONFLICT (bucket, id) DO UPDATE
    SET email = coalesce(excluded.email, known.email),
        phone = coalesce(excluded.phone, known.phone),
        timezone = coalesce(excluded.timezone, known.timezone),
        locale = coalesce(excluded.locale, known.locale),
        facts = known.facts || excluded.facts
""")

_INSERT_CONVERSATIONS = text("""
    INSERT INTO campaign_engine.conversations
        (bucket, id, campaign_id, recipient_id, version, lane, due_at, pending, enrolled_at, timezone, locale, context,
         progress)
    SELECT CAST(:bucket AS smallint), staged.conversation_id, :campaign_id, staged.recipient_id, :version, staged.lane,
           :due_at, ARRAY[CAST(:due_at AS timestamptz)], :enrolled_at,
           coalesce(recipient.timezone, :zone), coalesce(recipient.locale, 'en'),
           jsonb_build_object('facts', CAST(:facts AS jsonb) || staged.facts, 'captured', CAST('{}' AS jsonb)),
           CAST(:progress AS jsonb)
    FROM staged
    JOIN campaign_engine.recipients AS recipient
      ON recipient.bucket = :bucket AND recipient.id = staged.recipient_id
    WHERE staged.bucket = :bucket
    ORDER BY staged.conversation_id
    ON CONFLICT (bucket, id) DO NOTHING
""")


class RecipientRepository:
    """Stages and enrols recipients over one connection; commits nothing. The staging table outlives a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    async def insert_staged(self, blocks: AsyncIterable[bytes]) -> dict[int, int]:
        """Make the staging table and fill it with `as_block`s; how many rows each bucket has.

        May take longer than statements usually may, so no timeout holds for this transaction.
        """
        await self.connection.execute(text("SET LOCAL statement_timeout = 0"))
        await self.connection.execute(_CREATE_STAGING)
        driver = await driver_of(self.connection)
        async with driver.cursor() as cursor, cursor.copy(_COPY_STAGED) as copy:
            async for block in blocks:
                await copy.write(block)
        await self.connection.execute(_INDEX_STAGED)
        return {row.bucket: row.rows for row in await self.connection.execute(_COUNT_STAGED)}

    async def drop_staged(self) -> None:
        await self.connection.execute(text("DROP TABLE staged"))

    async def upsert_recipients(self, bucket: int, at: datetime) -> None:
        """The staged recipients of a bucket, new or brought up to date."""
        await self.connection.execute(_UPSERT_RECIPIENTS, {"bucket": bucket, "at": at})

    async def insert_conversations(self, bucket: int, new: NewConversations) -> int:
        """A conversation for every staged recipient of a bucket who has none in the campaign; how many."""
        given = {
            "bucket": bucket,
            "campaign_id": new.campaign_id,
            "version": new.version,
            "due_at": new.due_at,
            "enrolled_at": new.enrolled_at,
            "zone": new.zone,
            "facts": orjson.dumps(new.facts).decode(),
            "progress": orjson.dumps(progress_of_new()).decode(),
        }
        return (await self.connection.execute(_INSERT_CONVERSATIONS, given)).rowcount


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def as_block(rows: Iterable[StagedRow]) -> bytes:
    r"""The rows in the text format of COPY, with an empty field for what is missing.

    They are ordered by bucket, so that each bucket's rows lie on few pages when they are read again.

    >>> as_block([StagedRow("60", "0a", "0b", "a\tb", "", "", "", "", "4", "{}")])
    b'60\t0a\t0b\ta\\tb\t\t\t\t\t4\t{}\n'
    """
    return "".join([_as_line(row) for row in sorted(rows)]).encode()


def _as_line(row: StagedRow) -> str:
    line = "\t".join(row)
    if "\\" in line or "\n" in line or "\r" in line or line.count("\t") >= len(row):
        line = "\t".join([field.translate(_ESCAPES) for field in row])
    return line + "\n"
