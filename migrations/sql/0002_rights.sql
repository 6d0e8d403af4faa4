-- What the roles may do with what 0002 adds. May be run again at any time, by the owner of the tables.

DO $$
BEGIN
    IF to_regrole('campaign_engine_app') IS NOT NULL THEN
        GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_engine.send_gates TO campaign_engine_app;
        GRANT SELECT ON reporting.emitted_events TO campaign_engine_app;
    END IF;

    IF to_regrole('campaign_engine_worker') IS NOT NULL THEN
        -- to lock a row takes the right to update it
        GRANT SELECT, UPDATE ON campaign_engine.send_gates TO campaign_engine_worker;
    END IF;

    IF to_regrole('campaign_engine_reporter') IS NOT NULL THEN
        GRANT SELECT ON reporting.emitted_events TO campaign_engine_reporter;
    END IF;
END
$$;
