-- The tables of campaign_engine; engine/db/tables.py tells what they mean.

CREATE TABLE campaign_engine.campaign_types (
    name text NOT NULL,
    version integer NOT NULL,
    title text,
    content_hash text NOT NULL,
    spec json NOT NULL,  -- not jsonb, which forgets the order that labels are tried in
    source text NOT NULL,
    registered_at timestamptz NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE campaign_engine.campaigns (
    id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL,
    campaign_type text NOT NULL,
    version integer NOT NULL,
    status text NOT NULL,
    priority text NOT NULL DEFAULT 'normal',
    lanes smallint[] NOT NULL,
    timezone text,
    starts_at timestamptz,
    ends_at timestamptz,
    ended_at timestamptz,
    created_at timestamptz NOT NULL,
    context jsonb NOT NULL DEFAULT '{}'::jsonb,
    audience jsonb NOT NULL DEFAULT '{}'::jsonb
);

CREATE TABLE campaign_engine.campaign_requests (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY,
    payload jsonb NOT NULL,
    status text NOT NULL DEFAULT 'new',
    campaign_id uuid,
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz
);

CREATE TABLE campaign_engine.channel_state (
    channel text NOT NULL PRIMARY KEY,
    status text NOT NULL DEFAULT 'closed',
    failure_count integer NOT NULL DEFAULT 0,
    changed_at timestamptz
);

CREATE TABLE campaign_engine.recipients (
    bucket smallint NOT NULL,
    id uuid NOT NULL,
    key text NOT NULL,
    email text,
    phone text,
    timezone text,
    locale text,
    facts jsonb NOT NULL DEFAULT '{}'::jsonb,
    unsubscribed_at timestamptz,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (bucket, id)
);
CREATE INDEX recipients_key ON campaign_engine.recipients (bucket, key);

-- Every progression updates a conversation, so dead rows come fast: vacuum after 1 %, not after the usual 20 %.
CREATE TABLE campaign_engine.conversations (
    bucket smallint NOT NULL,
    id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    version integer NOT NULL,
    lane smallint NOT NULL,
    seq integer NOT NULL DEFAULT 0,
    attempts smallint NOT NULL DEFAULT 0,
    inbox_waiting boolean NOT NULL DEFAULT false,
    status text NOT NULL DEFAULT 'active',
    stage text,
    due_at timestamptz,
    held_due_at timestamptz,
    entered_at timestamptz,
    enrolled_at timestamptz NOT NULL,
    timezone text NOT NULL,
    locale text NOT NULL,
    context jsonb NOT NULL DEFAULT '{}'::jsonb,
    progress jsonb NOT NULL DEFAULT '{}'::jsonb,
    last_error text,
    PRIMARY KEY (bucket, id)
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02
);
CREATE INDEX conversations_due ON campaign_engine.conversations (bucket, lane, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE campaign_engine.stage_history (
    bucket smallint NOT NULL,
    conversation_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    at timestamptz NOT NULL,
    seq integer NOT NULL,
    sends smallint NOT NULL,
    entered boolean NOT NULL,
    from_stage text,
    to_stage text,
    cause text NOT NULL,
    edge text NOT NULL,
    PRIMARY KEY (bucket, conversation_id, seq, at)
) PARTITION BY RANGE (at);
CREATE TABLE campaign_engine.stage_history_default PARTITION OF campaign_engine.stage_history DEFAULT;

CREATE TABLE campaign_engine.outbox (
    bucket smallint NOT NULL,
    conversation_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    recipient_id uuid NOT NULL,
    at timestamptz NOT NULL,
    not_before timestamptz NOT NULL,
    lease_until timestamptz,
    sent_at timestamptz,
    seq integer NOT NULL,
    ordinal smallint NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    awaited boolean NOT NULL,
    cancel_requested boolean NOT NULL DEFAULT false,
    status text NOT NULL,
    scope text NOT NULL,
    stage text,
    channel text NOT NULL,
    message text NOT NULL,
    last_error text,
    PRIMARY KEY (bucket, conversation_id, seq, ordinal, at)
) PARTITION BY RANGE (at);
CREATE INDEX outbox_unsent ON campaign_engine.outbox (bucket, not_before, seq, ordinal)
    WHERE status IN ('ready', 'leased');
-- Storage parameters belong to partitions. Each message is updated twice, leased and sent, near where it was written.
CREATE TABLE campaign_engine.outbox_default PARTITION OF campaign_engine.outbox DEFAULT WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02
);

CREATE TABLE campaign_engine.responses (
    bucket smallint NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid,
    campaign_id uuid,
    recipient_key text NOT NULL,
    provider text NOT NULL,
    provider_message_id text,
    body text NOT NULL,
    status text NOT NULL,
    stage text,
    reading jsonb,
    received_at timestamptz NOT NULL,
    processed_at timestamptz,
    PRIMARY KEY (bucket, id)
);
CREATE UNIQUE INDEX responses_message
    ON campaign_engine.responses (bucket, recipient_key, provider, provider_message_id);
CREATE INDEX responses_waiting ON campaign_engine.responses (bucket, conversation_id) WHERE status = 'waiting';

CREATE TABLE campaign_engine.events (
    bucket smallint NOT NULL,
    id uuid NOT NULL,
    conversation_id uuid,
    campaign_id uuid,
    recipient_key text NOT NULL,
    name text NOT NULL,
    provider text NOT NULL,
    provider_message_id text,
    status text NOT NULL,
    received_at timestamptz NOT NULL,
    processed_at timestamptz,
    PRIMARY KEY (bucket, id)
);
CREATE UNIQUE INDEX events_message
    ON campaign_engine.events (bucket, provider, provider_message_id, conversation_id);
CREATE INDEX events_waiting ON campaign_engine.events (bucket, conversation_id) WHERE status = 'waiting';

CREATE TABLE campaign_engine.assignments (
    bucket smallint NOT NULL,
    conversation_id uuid NOT NULL,
    seq integer NOT NULL,
    ordinal smallint NOT NULL,
    campaign_id uuid NOT NULL,
    stage text,
    assignee text NOT NULL,
    priority text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (bucket, conversation_id, seq, ordinal)
);

-- Lives from a batch to the next compaction: all of it is dead rows soon.
CREATE TABLE campaign_engine.metric_deltas (
    bucket smallint NOT NULL,
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    campaign_id uuid NOT NULL,
    day date NOT NULL,
    metric text NOT NULL DEFAULT '',
    stage text NOT NULL DEFAULT '',
    target text NOT NULL DEFAULT '',
    label text NOT NULL DEFAULT '',
    count bigint NOT NULL,
    duration_us bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000
);

CREATE TABLE campaign_engine.metric_rollups (
    bucket smallint NOT NULL,
    campaign_id uuid NOT NULL,
    day date NOT NULL,
    metric text NOT NULL DEFAULT '',
    stage text NOT NULL DEFAULT '',
    target text NOT NULL DEFAULT '',
    label text NOT NULL DEFAULT '',
    count bigint NOT NULL,
    duration_us bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, campaign_id, day, metric, stage, target, label)
) WITH (fillfactor = 80);
