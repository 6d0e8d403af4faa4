"""A database that is full: tens of thousands of conversations in three buckets, behind months of partitions.

One bucket is crowded and quiet (what is due there is due later), one has a long backlog of due conversations and
messages, one is all over. So a plan that reads more than its batch shows. Everything is written by the server itself.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import psycopg

from engine.db.buckets import BUCKETS, campaign_range

QUIET, BACKLOG, OVER = BUCKETS[:3]
CONVERSATIONS = 7_000  # in each of the three buckets
BACKLOG_COUNT = 2_000
PARTITIONED = ("stage_history", "outbox")
ROW_TABLES = (
    "recipients", "conversations", "stage_history", "outbox", "responses", "events", "assignments", "metric_deltas",
    "metric_rollups", "moves",
)  # fmt: skip

_PARTITIONS = """
    SELECT format('CREATE TABLE campaign_engine.%%1$s_%%2$s PARTITION OF campaign_engine.%%1$s'
                  ' FOR VALUES FROM (%%3$L) TO (%%4$L)', parent, to_char(month, 'YYYYMM'), month,
                  month + interval '1 month')
      FROM unnest(%(parents)s::text[]) AS parent
     CROSS JOIN generate_series(date_trunc('month', %(now)s::timestamptz) - interval '8 months',
                                date_trunc('month', %(now)s::timestamptz) + interval '2 months',
                                interval '1 month') AS month
"""
_LEAVES = """
    SELECT format('ALTER TABLE %%s SET (autovacuum_enabled = off)', c.oid::regclass)
      FROM pg_class c
     WHERE relnamespace = 'campaign_engine'::regnamespace AND relkind = 'r'
"""
# `kind` is quiet, backlog or over; of each bucket the rows of every table.
_ROWS = """
    CREATE TEMPORARY TABLE crowd AS
    SELECT CAST(%(bucket)s AS smallint) AS bucket, n,
           CAST(%(prefix)s || substr(md5('c' || n), 1, 22) || %(index)s AS uuid) AS id,
           CAST(substr(md5('r' || n), 1, 30) || %(index)s AS uuid) AS recipient_id,
           CASE WHEN n %% 2 = 0 THEN %(now)s - interval '2 hours' - n %% 1800 * interval '1 minute'
                ELSE %(now)s - interval '8 months' + n %% 244 * interval '1 day' END AS at,
           CASE WHEN %(kind)s = 'backlog' AND n <= %(backlog)s THEN %(now)s - n * interval '1 second'
                WHEN %(kind)s = 'over' THEN NULL
                ELSE %(now)s + interval '90 days' + n * interval '1 minute' END AS due_at
      FROM generate_series(1, %(count)s) AS n;

    INSERT INTO campaign_engine.recipients (bucket, id, key, email, created_at)
    SELECT bucket, recipient_id, 'crowd' || n, 'crowd' || n || '@example.org', at FROM crowd;

    INSERT INTO campaign_engine.conversations (bucket, id, campaign_id, recipient_id, version, lane, due_at, pending,
                                               status, enrolled_at, timezone, locale, context, progress)
    SELECT bucket, id, %(campaign)s, recipient_id, 1, 5, due_at, array_remove(ARRAY[due_at], NULL),
           CASE WHEN due_at IS NULL THEN 'completed' ELSE 'active' END, at, 'UTC', 'en',
           '{"facts": {"first_name": "Somebody"}, "captured": {}}',
           CASE WHEN due_at IS NULL THEN '{}'::jsonb ELSE '{"agenda": [[0, 0]]}' END
      FROM crowd;

    INSERT INTO campaign_engine.stage_history (bucket, conversation_id, campaign_id, at, seq, sends, entered, to_stage,
                                               cause, edge)
    SELECT bucket, id, %(campaign)s, at + interval '1 hour', 1, 1, true, 'hello', 'start', 'start'
      FROM crowd
     WHERE due_at IS NULL OR due_at > %(now)s;

    INSERT INTO campaign_engine.outbox (bucket, conversation_id, campaign_id, recipient_id, at, not_before, sent_at,
                                        seq, ordinal, awaited, status, scope, stage, channel, message)
    SELECT bucket, id, %(campaign)s, recipient_id, at + seq * interval '1 hour',
           CASE WHEN %(kind)s = 'backlog' AND n <= %(backlog)s THEN %(now)s - n * interval '1 second'
                ELSE %(now)s + interval '90 days' + n * interval '1 minute' END,
           CASE WHEN sent THEN at + interval '5 hours' END, seq, 0, false,
           CASE WHEN sent THEN 'sent' ELSE 'ready' END, 'conversation', 'hello', 'email', 'hello'
      FROM crowd CROSS JOIN generate_series(1, 2) AS seq CROSS JOIN LATERAL (SELECT seq = 1 OR n %% 3 > 0) AS _ (sent)
     WHERE due_at IS NULL OR due_at > %(now)s OR n <= %(backlog)s;

    INSERT INTO campaign_engine.responses (bucket, id, conversation_id, campaign_id, recipient_key, provider,
                                           provider_message_id, body, status, received_at)
    SELECT bucket, CAST(md5('a' || n || bucket) AS uuid), id, %(campaign)s, 'crowd' || n, 'api', 'c' || n, 'yes',
           CASE WHEN n %% 10 = 0 THEN 'unmatched' ELSE 'processed' END, at
      FROM crowd WHERE n %% 2 = 0;

    INSERT INTO campaign_engine.events (bucket, id, conversation_id, campaign_id, recipient_key, name, provider,
                                        provider_message_id, status, received_at)
    SELECT bucket, CAST(md5('e' || n || bucket) AS uuid), id, %(campaign)s, 'crowd' || n, 'opened', 'api', 'c' || n,
           CASE WHEN n %% 3 = 0 THEN 'emitted' ELSE 'processed' END, at
      FROM crowd WHERE n %% 2 = 0;

    INSERT INTO campaign_engine.assignments (bucket, conversation_id, seq, ordinal, campaign_id, stage, assignee,
                                             priority, at)
    SELECT bucket, id, 3, 0, %(campaign)s, 'human', 'sales', 'normal', at FROM crowd WHERE n %% 4 = 0;

    INSERT INTO campaign_engine.metric_rollups (bucket, campaign_id, day, metric, label, count)
    SELECT bucket, %(campaign)s, CAST(at AS date), 'entered', 'cause ' || n, 1 FROM crowd WHERE n %% 4 = 0;
    DROP TABLE crowd;
"""
# Everything due, ready and waiting, and evenly spread: what the planner last heard of the tables.
_ANOTHER_DAY = """
    UPDATE campaign_engine.conversations SET due_at = %(now)s, status = 'paused';
    UPDATE campaign_engine.outbox SET status = 'ready', not_before = %(now)s;
    UPDATE campaign_engine.responses SET status = 'waiting';
    UPDATE campaign_engine.events SET status = 'waiting';
    ANALYZE;
"""
_CLEAR = "DELETE FROM campaign_engine.{table}"
_DELTAS = """
    INSERT INTO campaign_engine.metric_deltas (bucket, campaign_id, day, metric, label, count)
    SELECT bucket, %(campaign)s, CAST(%(now)s AS date), 'entered', 'start', 1
      FROM unnest(%(buckets)s::smallint[]) AS bucket CROSS JOIN generate_series(1, 400)
"""


def fill(connection: psycopg.Connection, campaign: UUID, now: datetime) -> None:
    """Fill an empty database for a campaign that is there; what its statistics tell is of another day."""
    given = {"campaign": campaign, "now": now, "parents": list(PARTITIONED), "backlog": BACKLOG_COUNT}
    for statement in (_PARTITIONS, _LEAVES):
        for (made,) in connection.execute(statement, given).fetchall():
            connection.execute(made)
    prefix = campaign_range(campaign)[0].hex[:8]

    def crowd(bucket: int, kind: str, size: int) -> None:
        own = {"bucket": bucket, "kind": kind, "count": size, "prefix": prefix}
        own["index"] = f"{BUCKETS.index(bucket):02x}"
        psycopg.ClientCursor(connection).execute(_ROWS, given | own)

    for bucket in BUCKETS:
        crowd(bucket, "over", 10)
    psycopg.ClientCursor(connection).execute(_ANOTHER_DAY, given)
    for table in ROW_TABLES:
        connection.execute(_CLEAR.format(table=table))
    for bucket, kind in ((QUIET, "quiet"), (BACKLOG, "backlog"), (OVER, "over")):
        crowd(bucket, kind, CONVERSATIONS)
    connection.execute(_DELTAS, given | {"buckets": list(BUCKETS)})
