"""Writing what a batch of decisions came to. One bucket, one transaction, all or nothing.

`advance` is one statement: it updates the conversations, guarded by the `seq` they were claimed with, and inserts
history, outbox and metric deltas for exactly the rows the update returned. Conversations that one decision fits share
a row of a JSON parameter; their ids come as an array beside one of the numbers of these rows, by which history and
messages refer to them, too. Look-ups are by `= ANY` of such an array, so that the planner knows that it is one:
how many rows a JSON parameter holds is hidden from it. The statement divides by zero when a conversation was not
updated, so that a lost guard can never pass for success: the batch rolls back and its claim is tried again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.core.errors import RepositoryError
from engine.db.database import driver_of

Rows = Sequence[dict[str, Any]]


class Move(NamedTuple):
    """Conversations that share a decision: the number of their rows, the `seq` they were claimed with, their ids."""

    number: int
    seq: int
    ids: Sequence[str]


# How many rows a parameter holds is not known when a plan is made for all of them. With few the planner likes to go
# through all of one list for each of another; with a thousand that is a million steps.
_HASH = "SET LOCAL enable_nestloop = off"

# What a conversation waits for on is told by its places in the array it has; what is new is the same for all of a row.
_ADVANCE = """
    WITH moved AS (
        UPDATE campaign_engine.conversations c
           SET seq = i.seq, stage = i.stage, status = i.status, inbox_waiting = i.inbox_waiting, progress = i.progress,
               context = coalesce(i.context, c.context),
               entered_at = CASE WHEN i.entered THEN %(now)s ELSE c.entered_at END,
               started_at = CASE WHEN i.entered THEN coalesce(c.started_at, %(now)s) ELSE c.started_at END,
               due_at = CASE WHEN i.wakes = '{}' THEN i.due_at
                             ELSE least(i.due_at, (SELECT min(c.pending[place]) FROM unnest(i.wakes) AS place)) END,
               held_due_at = CASE WHEN i.parked THEN coalesce(c.held_due_at, c.due_at) END,
               pending = CASE WHEN i.carried = '{}' THEN i.made
                              ELSE ARRAY(SELECT c.pending[place]
                                           FROM unnest(i.carried) WITH ORDINALITY AS kept (place, number)
                                          ORDER BY number) || i.made END,
               attempts = CASE WHEN i.status = 'failed' THEN c.attempts ELSE 0 END,
               last_error = CASE WHEN i.status = 'failed' THEN c.last_error END
          FROM unnest(%(ids)s::uuid[], %(seqs)s::int[], %(numbers)s::int[]) AS one(id, seq, number)
          JOIN jsonb_to_recordset(%(rows)s::jsonb) AS i(
               number int, seq int, stage text, status text, parked boolean, entered boolean, due_at timestamptz,
               wakes int[], carried int[], made timestamptz[], inbox_waiting boolean, progress jsonb, context jsonb)
               USING (number)
         WHERE c.bucket = %(bucket)s AND c.id = ANY(%(ids)s::uuid[]) AND c.id = one.id AND c.seq = one.seq
        RETURNING c.id, c.campaign_id, c.recipient_id, number
    ), history AS (
        INSERT INTO campaign_engine.stage_history
               (bucket, conversation_id, campaign_id, at, seq, sends, entered, from_stage, to_stage, cause, edge)
        SELECT %(bucket)s, m.id, m.campaign_id, %(now)s, s.seq, s.sends, s.entered, s.from_stage, s.to_stage,
               s.cause, s.edge
          FROM moved m
          JOIN jsonb_to_recordset(%(steps)s::jsonb) AS s(
               number int, seq int, sends smallint, entered boolean, from_stage text, to_stage text, cause text,
               edge text) ON s.number = m.number
    ), messages AS (
        INSERT INTO campaign_engine.outbox
               (bucket, conversation_id, campaign_id, recipient_id, at, not_before, seq, ordinal, awaited, status,
                scope, stage, channel, message, ignores_window, ignores_limits)
        SELECT %(bucket)s, m.id, m.campaign_id, m.recipient_id, %(now)s, o.not_before, o.seq, o.ordinal, o.awaited,
               o.status, o.scope, o.stage, o.channel, o.message, o.ignores_window, o.ignores_limits
          FROM moved m
          JOIN jsonb_to_recordset(%(messages)s::jsonb) AS o(
               number int, not_before timestamptz, seq int, ordinal smallint, awaited boolean, status text, scope text,
               stage text, channel text, message text, ignores_window boolean, ignores_limits boolean)
               ON o.number = m.number
    ), counted AS (
        INSERT INTO campaign_engine.metric_deltas
               (bucket, campaign_id, day, metric, stage, target, label, count, duration_us)
        SELECT %(bucket)s, d.campaign_id, d.day, d.metric, d.stage, d.target, d.label, d.count, d.duration_us
          FROM jsonb_to_recordset(%(deltas)s::jsonb) AS d(
               campaign_id uuid, day date, metric text, stage text, target text, label text, count bigint,
               duration_us bigint)
    )
    SELECT count(*) / (count(*) = %(count)s)::int FROM moved
"""

_MARK_FAILED = """
    UPDATE campaign_engine.conversations c
       SET attempts = i.attempts, last_error = i.last_error, due_at = i.due_at, status = i.status,
           failed_at = CASE WHEN i.status = 'failed' AND c.status <> 'failed' THEN %(now)s ELSE c.failed_at END
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS i(
           id uuid, attempts smallint, last_error text, due_at timestamptz, status text)
     WHERE c.bucket = %(bucket)s AND c.id = ANY(%(ids)s::uuid[]) AND c.id = i.id
"""

_CONSUME_RESPONSES = """
    UPDATE campaign_engine.responses r
       SET status = 'processed', processed_at = %(now)s, stage = i.stage, reading = i.reading
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS i(id uuid, stage text, reading jsonb)
     WHERE r.bucket = %(bucket)s AND r.id = ANY(%(ids)s::uuid[]) AND r.id = i.id
"""

_CONSUME_EVENTS = """
    UPDATE campaign_engine.events
       SET status = 'processed', processed_at = %(now)s
     WHERE bucket = %(bucket)s AND id = ANY(%(ids)s::uuid[])
"""

_COUNT_CANCELLED = """
        INSERT INTO campaign_engine.metric_deltas (bucket, campaign_id, day, metric, stage, target, label, count)
        SELECT %(bucket)s, campaign_id, %(day)s, 'cancelled', coalesce(stage, ''), channel, message, count(*)
          FROM cancelled WHERE status = 'cancelled' GROUP BY campaign_id, stage, channel, message
"""

# Ready messages die at once; one in a worker's hands is told to die if it has not left. One statement decides which,
# by the row's own status under its lock, so a message that a worker takes at this moment cannot escape both. Only rows
# of earlier decisions are meant: those up to the seq the conversation was claimed with. They are found by their key; to
# ask for those that are ready or leased would invite the planner to walk all of the bucket's.
_CANCEL_MESSAGES = f"""
    WITH wanted AS (
        SELECT one.id, i.was, i.scopes
          FROM jsonb_to_recordset(%(rows)s::jsonb) AS i(ids uuid[], was int, scopes text[])
         CROSS JOIN unnest(i.ids) AS one(id)
    ), cancelled AS (
        UPDATE campaign_engine.outbox o
           SET status = CASE o.status WHEN 'ready' THEN 'cancelled' ELSE o.status END, cancel_requested = true
          FROM wanted i
         WHERE o.bucket = %(bucket)s AND o.conversation_id = ANY(%(ids)s::uuid[]) AND o.conversation_id = i.id
           AND o.seq <= i.was AND o.scope = ANY(i.scopes) AND o.status NOT IN ('sent', 'failed', 'cancelled')
        RETURNING o.campaign_id, o.stage, o.channel, o.message, o.status
    )
    {_COUNT_CANCELLED}
"""  # noqa: S608 - constants of this module

# There is no index by recipient: opting out is rare, and walks its bucket's unsent messages.
_UNSUBSCRIBE = f"""
    WITH gone AS (
        UPDATE campaign_engine.recipients r SET unsubscribed_at = %(now)s
          FROM campaign_engine.conversations c
         WHERE c.bucket = %(bucket)s AND c.id = ANY(%(ids)s::uuid[])
           AND r.bucket = %(bucket)s AND r.id = c.recipient_id AND r.unsubscribed_at IS NULL
    ), cancelled AS (
        UPDATE campaign_engine.outbox o
           SET status = CASE o.status WHEN 'ready' THEN 'cancelled' ELSE o.status END, cancel_requested = true
          FROM campaign_engine.conversations c
         WHERE c.bucket = %(bucket)s AND c.id = ANY(%(ids)s::uuid[])
           AND o.bucket = %(bucket)s AND o.recipient_id = c.recipient_id AND o.status IN ('ready', 'leased')
        RETURNING o.campaign_id, o.stage, o.channel, o.message, o.status
    )
    {_COUNT_CANCELLED}
"""  # noqa: S608 - constants of this module

_INSERT_ASSIGNMENTS = """
    INSERT INTO campaign_engine.assignments
           (bucket, conversation_id, seq, ordinal, campaign_id, stage, assignee, priority, at)
    SELECT %(bucket)s, one.id, i.seq, i.ordinal, i.campaign_id, i.stage, i.assignee, i.priority, %(now)s
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS i(
           ids uuid[], seq int, ordinal smallint, campaign_id uuid, stage text, assignee text, priority text)
     CROSS JOIN unnest(i.ids) AS one(id)
"""

# The id says which event it is, so no repetition can add one. One with nobody's row left to name goes without a key.
_INSERT_EMITTED = """
    INSERT INTO campaign_engine.events
           (bucket, id, conversation_id, campaign_id, recipient_key, name, provider, provider_message_id, status,
            received_at, stage)
    SELECT %(bucket)s, left(encode(sha256((one.id || 'emitted' || told.place)::bytea), 'hex'), 32)::uuid, one.id,
           i.campaign_id, coalesce(r.key, ''), i.name, 'campaign', told.place, 'emitted', %(now)s, i.stage
      FROM jsonb_to_recordset(%(rows)s::jsonb) AS i(
           ids uuid[], seq int, ordinal smallint, campaign_id uuid, stage text, name text)
     CROSS JOIN LATERAL (VALUES (i.seq || '.' || i.ordinal)) AS told (place)
     CROSS JOIN unnest(i.ids) AS one(id)
      LEFT JOIN LATERAL (
           SELECT r.key FROM campaign_engine.conversations c
             JOIN campaign_engine.recipients r ON r.bucket = %(bucket)s AND r.id = c.recipient_id
            WHERE c.bucket = %(bucket)s AND c.id = one.id OFFSET 0) AS r ON true
"""


class ProgressionRepository:
    """The writes of one batch, into one bucket, at one instant. They ask nothing, so all may go in one pipeline."""

    def __init__(self, connection: AsyncConnection, bucket: int, now: datetime) -> None:
        self._connection = connection
        self._given: dict[str, Any] = {"bucket": bucket, "now": now, "day": now.date()}

    async def use_hashes(self) -> None:
        """Have the following statements of this transaction join by hashing."""
        await self._run(_HASH)

    async def advance_conversations(
        self, moves: Iterable[Move], rows: Rows, steps: Rows, messages: Rows, deltas: Rows
    ) -> None:
        """Move the conversations and write what follows; fails with SQLSTATE 22012 if one is not as it was.

        Rows, steps and messages name their conversations by the number of a move.
        """
        each = [(id, str(move.seq), str(move.number)) for move in moves for id in move.ids]
        ids, seqs, numbers = zip(*each, strict=True) if each else ((), (), ())
        await self._run(
            _ADVANCE,
            ids=_array(ids),
            seqs=_array(seqs),
            numbers=_array(numbers),
            rows=_json(rows),
            steps=_json(steps),
            messages=_json(messages),
            deltas=_json(deltas),
            count=len(each),
        )

    async def mark_failed(self, rows: Rows) -> None:
        """Note a failed attempt: its count, its error, and when to try again, or that it is parked for good."""
        await self._run(_MARK_FAILED, ids=_array(row["id"] for row in rows), rows=_json(rows))

    async def mark_responses_processed(self, rows: Rows) -> None:
        """Responses taken in, each with the stage it met and how it was understood."""
        await self._run(_CONSUME_RESPONSES, ids=_array(row["id"] for row in rows), rows=_json(rows))

    async def mark_events_processed(self, ids: Sequence[str]) -> None:
        await self._run(_CONSUME_EVENTS, ids=_array(ids))

    async def cancel_messages(self, rows: Rows) -> None:
        """Cancel unsent messages of these conversations by scope, and count them."""
        await self._run(_CANCEL_MESSAGES, ids=_array(id for row in rows for id in row["ids"]), rows=_json(rows))

    async def unsubscribe_recipients(self, conversation_ids: Sequence[str]) -> None:
        """Opt the recipients of these conversations out: no message of any campaign leaves for them any more."""
        await self._run(_UNSUBSCRIBE, ids=_array(conversation_ids))

    async def insert_assignments(self, rows: Rows) -> None:
        await self._run(_INSERT_ASSIGNMENTS, rows=_json(rows))

    async def insert_emitted(self, rows: Rows) -> None:
        """Keep events that campaigns tell other systems."""
        await self._run(_INSERT_EMITTED, rows=_json(rows))

    async def _run(self, statement: str, **given: Any) -> None:
        driver = await driver_of(self._connection)
        await driver.execute(statement, self._given | given if given else None)


def _array(texts: Iterable[str]) -> str:
    """Ids or numbers as PostgreSQL reads an array of them; nothing in them wants a quote."""
    return f"{{{','.join(texts)}}}"


def _json(rows: Rows) -> str:
    try:
        return orjson.dumps(rows).decode()
    except TypeError as error:  # a value that JSON cannot hold is the row's fault, as if the database had refused it
        raise RepositoryError("a value cannot be stored as JSON", sqlstate="22000") from error
