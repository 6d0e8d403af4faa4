-- What the roles may do with what 0005 adds. May be run again at any time, by the owner of the tables.

DO $$
BEGIN
    IF to_regrole('campaign_engine_app') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_engine.dropped_spans TO campaign_engine_app;
    END IF;
END
$$;
