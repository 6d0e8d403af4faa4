-- What its columns mean stands in engine/db/tables.py. May be granted again at any time, by the owner of the table.

CREATE TABLE IF NOT EXISTS campaign_engine.members (
    id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    parts text[] NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    states jsonb NOT NULL DEFAULT '{}'::jsonb
);

DO $$
BEGIN
    IF to_regrole('campaign_engine_app') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_engine.members TO campaign_engine_app;
    END IF;

    IF to_regrole('campaign_engine_worker') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_engine.members TO campaign_engine_worker;
        GRANT SELECT ON campaign_engine.alembic_version TO campaign_engine_worker;  -- does the schema fit?
    END IF;
END
$$;
