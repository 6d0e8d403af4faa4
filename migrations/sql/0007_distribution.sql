-- Spreads what 0007 adds over the nodes of a Citus cluster, where 0006 has spread the rest. Nothing happens anywhere else,
-- so it may be run again at any time, by the owner of the tables.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM pg_dist_partition
        WHERE logicalrelid = CAST('campaign_engine.recipients' AS regclass) AND partmethod = 'h'
    ) AND NOT EXISTS (
        SELECT FROM pg_dist_partition WHERE logicalrelid = CAST('campaign_engine.moves' AS regclass)
    ) THEN
        PERFORM create_distributed_table(
            'campaign_engine.moves', 'bucket', colocate_with => 'campaign_engine.recipients'
        );
    END IF;
END
$$;
