-- The three roles and what each may do. May be run again at any time, by the owner of the tables.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['campaign_engine_app', 'campaign_engine_worker', 'campaign_engine_reporter'] LOOP
        CONTINUE WHEN to_regrole(name) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION
            -- roles belong to the cluster: a migration of another database may just have made it
            WHEN duplicate_object OR unique_violation OR internal_error THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE NOTICE 'role % was not created, % may not create roles', name, current_user
                    USING HINT = 'Let an administrator create it, then run migrations/sql/0001_roles.sql with psql.';
        END;
    END LOOP;

    IF to_regrole('campaign_engine_app') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA campaign_engine, reporting TO campaign_engine_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA campaign_engine TO campaign_engine_app;
        REVOKE INSERT, UPDATE, DELETE ON campaign_engine.alembic_version FROM campaign_engine_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA campaign_engine TO campaign_engine_app;
        GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO campaign_engine_app;
    END IF;

    IF to_regrole('campaign_engine_worker') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA campaign_engine TO campaign_engine_worker;
        GRANT SELECT, UPDATE ON campaign_engine.outbox TO campaign_engine_worker;
        GRANT SELECT, INSERT, UPDATE ON campaign_engine.channel_state TO campaign_engine_worker;
        GRANT SELECT ON campaign_engine.recipients, campaign_engine.campaigns, campaign_engine.campaign_types,
            campaign_engine.conversations TO campaign_engine_worker;
        GRANT UPDATE (due_at) ON campaign_engine.conversations TO campaign_engine_worker;
        GRANT INSERT ON campaign_engine.metric_deltas TO campaign_engine_worker;
    END IF;

    IF to_regrole('campaign_engine_reporter') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA reporting TO campaign_engine_reporter;
        GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO campaign_engine_reporter;
    END IF;
END
$$;
