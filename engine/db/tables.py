"""The tables of the `campaign_engine` schema, as alembic and the statements see them.

`campaigns`, `campaign_types`, `campaign_requests`, `channel_state`, `members` and `dropped_spans` are small and rarely
written. Every other table is a row table: `bucket` is the first column of every key and index, computed from the
recipient's key (see `engine.db.buckets`) and never changed, so that a recipient's rows live together and every hot
statement can name one bucket. There are no foreign keys from or to row tables, and `conversations` has one secondary
index that holds every row, since `due_at` changes at every progression and each further one would cost a write each
time. An index of what went wrong costs nothing while it is empty.

`stage_history` and `outbox` are partitioned by time (`at`, the instant of the batch that wrote the row). How PostgreSQL
looks after each table, its autovacuum settings, stands with the reasons in `migrations/sql/0005_upkeep.sql`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

SCHEMA = "campaign_engine"
metadata = MetaData(schema=SCHEMA)


def _at(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _bucket() -> Column[int]:
    return Column("bucket", SmallInteger, nullable=False)


def _json(name: str) -> Column[object]:
    return Column(name, JSONB, nullable=False, server_default=text("'{}'::jsonb"))


campaign_types = Table(
    "campaign_types",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("title", Text),
    Column("content_hash", Text, nullable=False),
    Column("spec", JSON, nullable=False),  # not jsonb, which forgets the order that labels are tried in
    Column("source", Text, nullable=False),
    _at("registered_at", nullable=False),
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("campaign_type", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("priority", Text, nullable=False, server_default="normal"),
    Column("lanes", ARRAY(SmallInteger), nullable=False),  # one for each priority: high, normal, low
    Column("timezone", Text),
    _at("starts_at"),
    _at("ends_at"),
    _at("ended_at"),
    _at("created_at", nullable=False),
    _json("context"),
    _json("audience"),
)

campaign_requests = Table(
    "campaign_requests",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=text("gen_random_uuid()")),
    Column("payload", JSONB, nullable=False),
    Column("status", Text, nullable=False, server_default="new"),  # new, taken, done, failed
    Column("campaign_id", Uuid),
    Column("error", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    _at("processed_at"),
)

channel_state = Table(
    "channel_state",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("status", Text, nullable=False, server_default="closed"),
    Column("failure_count", Integer, nullable=False, server_default="0"),
    _at("changed_at"),
    postgresql_with={"fillfactor": "25"},
)

# The processes at work: a row for each, written every few seconds and removed at its end. A hint and a report only: who
# may move what is decided by row locks.
members = Table(
    "members",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),  # host:pid
    Column("version", Text, nullable=False),  # of the program
    Column("parts", ARRAY(Text), nullable=False),  # the loops it runs: poll, tick, work
    _at("started_at", nullable=False),
    _at("seen_at", nullable=False),
    _json("states"),  # {breaker: {"state": "open", "since": instant, "failures": count}}
    postgresql_with={"fillfactor": "25"},
)

# The spans whose history and messages are gone, dropped as old (see `engine.upkeep`): why counts and rows differ.
dropped_spans = Table(
    "dropped_spans",
    metadata,
    Column("lower_at", DateTime(timezone=True), primary_key=True),
    _at("upper_at", nullable=False),
    _at("dropped_at", nullable=False),
)

recipients = Table(
    "recipients",
    metadata,
    _bucket(),
    Column("id", Uuid, nullable=False),
    Column("key", Text, nullable=False),
    Column("email", Text),
    Column("phone", Text),
    Column("timezone", Text),
    Column("locale", Text),
    _json("facts"),
    _at("unsubscribed_at"),
    _at("created_at", nullable=False),
    PrimaryKeyConstraint("bucket", "id"),
    Index("recipients_key", "bucket", "key"),  # unique as the id is, which follows from the key
)

conversations = Table(
    "conversations",
    metadata,
    _bucket(),
    Column("id", Uuid, nullable=False),
    Column("campaign_id", Uuid, nullable=False),
    Column("recipient_id", Uuid, nullable=False),
    Column("version", Integer, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("seq", Integer, nullable=False, server_default="0"),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("inbox_waiting", Boolean, nullable=False, server_default=text("false")),
    Column("status", Text, nullable=False, server_default="active"),
    Column("stage", Text),
    _at("due_at"),
    _at("held_due_at"),  # what due_at was when a pause parked the conversation
    _at("entered_at"),
    _at("enrolled_at", nullable=False),
    Column("timezone", Text, nullable=False),
    Column("locale", Text, nullable=False),
    _json("context"),  # {"facts": {…}, "captured": {…}}: what guards and messages read
    _json("progress"),  # counters, and what is waited for, see engine.db.progress
    Column("last_error", Text),
    # The instants of the agenda in `progress`. They and this one are a conversation's own; progress is many's.
    Column("pending", ARRAY(DateTime(timezone=True)), nullable=False, server_default=text("'{}'::timestamptz[]")),
    _at("started_at"),  # when the start stage was entered
    _at("failed_at"),  # when it was parked as failed
    PrimaryKeyConstraint("bucket", "id"),
    Index("conversations_due", "bucket", "lane", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    Index("conversations_failing", "bucket", "campaign_id", "id", postgresql_where=text("attempts > 0")),
    postgresql_with={"fillfactor": "80"},
)

stage_history = Table(
    "stage_history",
    metadata,
    _bucket(),
    Column("conversation_id", Uuid, nullable=False),
    Column("campaign_id", Uuid, nullable=False),
    _at("at", nullable=False),
    Column("seq", Integer, nullable=False),
    Column("sends", SmallInteger, nullable=False),
    Column("entered", Boolean, nullable=False),  # false for a stay, a follow-up, an escalation, a campaign's end
    Column("from_stage", Text),
    Column("to_stage", Text),
    Column("cause", Text, nullable=False),
    Column("edge", Text, nullable=False),
    PrimaryKeyConstraint("bucket", "conversation_id", "seq", "at"),
    postgresql_partition_by="RANGE (at)",
)

outbox = Table(
    "outbox",
    metadata,
    _bucket(),
    Column("conversation_id", Uuid, nullable=False),
    Column("campaign_id", Uuid, nullable=False),
    Column("recipient_id", Uuid, nullable=False),
    _at("at", nullable=False),
    _at("not_before", nullable=False),
    _at("lease_until"),
    _at("sent_at"),
    Column("seq", Integer, nullable=False),
    Column("ordinal", SmallInteger, nullable=False),
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Column("awaited", Boolean, nullable=False),  # its fate wakes the conversation: a follow-up counts from it
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("status", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("stage", Text),
    Column("channel", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("last_error", Text),
    Column("ignores_window", Boolean, nullable=False, server_default=text("false")),
    Column("ignores_limits", Boolean, nullable=False, server_default=text("false")),
    PrimaryKeyConstraint("bucket", "conversation_id", "seq", "ordinal", "at"),
    Index(  # the order in which messages leave, so that a lease reads no more than it takes
        "outbox_unsent",
        "bucket",
        "not_before",
        "seq",
        "ordinal",
        postgresql_where=text("status IN ('ready', 'leased')"),
    ),
    # What limits count. Two indexes, not one of both: so that of sent ones never holds a dead entry, and that of the
    # few in flight stays small. A message is in each once.
    Index("outbox_sent", "bucket", "recipient_id", "sent_at", postgresql_where=text("status = 'sent'")),
    Index("outbox_leased", "bucket", "recipient_id", postgresql_where=text("status = 'leased'")),
    Index("outbox_failed", "bucket", "not_before", postgresql_where=text("status = 'failed'")),
    postgresql_partition_by="RANGE (at)",
)

# One row a bucket, never changed, only locked: whoever leases messages of a bucket holds its gate, so that one worker
# at a time counts what its recipients were sent (see `engine.worker`). In the order of their places they are the
# BUCKETS that the ids in this database were made with.
send_gates = Table(
    "send_gates",
    metadata,
    Column("bucket", SmallInteger, primary_key=True, autoincrement=False),
    Column("place", SmallInteger),
)

responses = Table(
    "responses",
    metadata,
    _bucket(),
    Column("id", Uuid, nullable=False),
    Column("conversation_id", Uuid),  # NULL while unmatched
    Column("campaign_id", Uuid),
    Column("recipient_key", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_message_id", Text),
    Column("body", Text, nullable=False),
    Column("status", Text, nullable=False),  # waiting, processed, unmatched
    Column("stage", Text),  # the stage it met
    Column("reading", JSONB),  # the value of each declared response
    _at("received_at", nullable=False),
    _at("processed_at"),
    PrimaryKeyConstraint("bucket", "id"),
    Index("responses_message", "bucket", "recipient_key", "provider", "provider_message_id", unique=True),
    Index("responses_waiting", "bucket", "conversation_id", postgresql_where=text("status = 'waiting'")),
    Index("responses_unmatched", "bucket", "received_at", postgresql_where=text("status = 'unmatched'")),
)

# Both ways: what happened to recipients (waiting, processed, unmatched), and what campaigns tell other systems
# (emitted), whose provider is `campaign` and whose message id is the SEQ.ORDINAL of what emitted it.
events = Table(
    "events",
    metadata,
    _bucket(),
    Column("id", Uuid, nullable=False),
    Column("conversation_id", Uuid),
    Column("campaign_id", Uuid),
    Column("recipient_key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_message_id", Text),
    Column("status", Text, nullable=False),
    _at("received_at", nullable=False),
    _at("processed_at"),
    Column("stage", Text),  # the stage that emitted it
    PrimaryKeyConstraint("bucket", "id"),
    Index("events_message", "bucket", "provider", "provider_message_id", "conversation_id", unique=True),
    Index("events_waiting", "bucket", "conversation_id", postgresql_where=text("status = 'waiting'")),
    Index("events_emitted", "bucket", "received_at", postgresql_where=text("status = 'emitted'")),
)

assignments = Table(
    "assignments",
    metadata,
    _bucket(),
    Column("conversation_id", Uuid, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("ordinal", SmallInteger, nullable=False),
    Column("campaign_id", Uuid, nullable=False),
    Column("stage", Text),
    Column("assignee", Text, nullable=False),
    Column("priority", Text, nullable=False),
    _at("at", nullable=False),
    PrimaryKeyConstraint("bucket", "conversation_id", "seq", "ordinal"),
)

# What somebody moved by hand, and why; the progression itself is in `stage_history`.
moves = Table(
    "moves",
    metadata,
    _bucket(),
    Column("conversation_id", Uuid, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("campaign_id", Uuid, nullable=False),
    Column("from_stage", Text),
    Column("to_stage", Text, nullable=False),
    Column("reason", Text, nullable=False),
    _at("at", nullable=False),
    PrimaryKeyConstraint("bucket", "conversation_id", "seq"),
)

# One row is one counted thing of one day (UTC). `metric` tells what `stage`, `target` and `label` mean:
#   enrolled    -        -          -          a conversation was made
#   entered     from     to         cause      a history row that entered `to`; duration: time spent in `from`
#   stayed      stage    stage      cause      any other history row
#   finished    last     exit       outcome    won, lost, stopped, failed; duration: since the start stage's entry
#   queued      stage    channel    message    an outbox row was made
#   sent, failed, cancelled: the same three    the outbox row came to this end
#   received    stage    -          -          a response was recorded
#   responded   stage    -          -          the first response of a visit to the stage
#   engaged     stage    -          -          the first response of a conversation
_DIMENSIONS = ("metric", "stage", "target", "label")

metric_deltas = Table(
    "metric_deltas",
    metadata,
    _bucket(),
    Column("id", BigInteger, Identity(always=True), nullable=False),
    Column("campaign_id", Uuid, nullable=False),
    Column("day", Date, nullable=False),
    *(Column(name, Text, nullable=False, server_default="") for name in _DIMENSIONS),
    Column("count", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("bucket", "id"),
    postgresql_with={"vacuum_truncate": "off"},
)

metric_rollups = Table(
    "metric_rollups",
    metadata,
    _bucket(),
    Column("campaign_id", Uuid, nullable=False),
    Column("day", Date, nullable=False),
    *(Column(name, Text, nullable=False, server_default="") for name in _DIMENSIONS),
    Column("count", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("bucket", "campaign_id", "day", *_DIMENSIONS),
    postgresql_with={"fillfactor": "50"},
)
