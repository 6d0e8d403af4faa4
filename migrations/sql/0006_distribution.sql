-- Spreads the tables over the nodes of a Citus cluster (12 or newer): row tables by bucket, the small ones whole on every
-- node. Nothing happens on plain PostgreSQL, on a node that is not the coordinator of a cluster with nodes, and to a table
-- that is spread already. So it may be run again at any time, by the owner of the tables; docs/scaling.md tells when.

DO $$
DECLARE
    -- There are 64 buckets, made to fall one in each of 64 shards. More shards would stay empty.
    shards CONSTANT integer := 64;
    -- Joined with row tables or asked by every process, which may be connected to any node. alembic_version too: a
    -- process asks it at its start.
    small CONSTANT text[] := '{alembic_version, campaign_types, campaigns, campaign_requests, channel_state, members,
                              dropped_spans}';
    -- The first leads, the others lie beside it. Partitions go with their table, those made later as well.
    rows CONSTANT text[] := '{recipients, conversations, stage_history, outbox, responses, events, assignments,
                              metric_deltas, metric_rollups, send_gates}';
    name text;
    relation regclass;
    spread integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RETURN;
    END IF;
    IF NOT citus_is_coordinator() THEN
        RAISE NOTICE 'Citus is installed, but this is not the coordinator of a cluster with nodes: nothing is spread'
            USING HINT = 'Add the nodes, then run migrations/sql/0006_distribution.sql and 0007_distribution.sql on the coordinator.';
        RETURN;
    END IF;
    -- One connection a node, so that all of this, and what the upgrade did before it, is one transaction there too.
    PERFORM set_config('citus.multi_shard_modify_mode', 'sequential', true);

    FOREACH name IN ARRAY small LOOP
        relation := to_regclass('campaign_engine.' || name);
        CONTINUE WHEN relation IS NULL;  -- alembic_version, where the schema was made by hand
        CONTINUE WHEN EXISTS (  -- t: written on all nodes in two phases, as only reference tables are
            SELECT FROM pg_dist_partition WHERE logicalrelid = relation AND partmethod = 'n' AND repmodel = 't'
        );
        PERFORM create_reference_table(relation);
        spread := spread + 1;
    END LOOP;

    FOREACH name IN ARRAY rows LOOP
        relation := CAST('campaign_engine.' || name AS regclass);
        CONTINUE WHEN EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = relation AND partmethod = 'h');
        IF name = rows[1] THEN
            PERFORM create_distributed_table(relation, 'bucket', colocate_with => 'none', shard_count => shards);
        ELSE
            PERFORM create_distributed_table(relation, 'bucket', colocate_with => 'campaign_engine.' || rows[1]);
        END IF;
        spread := spread + 1;
    END LOOP;
    RAISE NOTICE '% tables were spread over the nodes', spread;
END
$$;
