-- How PostgreSQL looks after each table that churns, and a record of old history that was dropped. What its columns
-- mean stands in engine/db/tables.py.
--
-- No setting here decides what happens, only how soon dead rows go. An update of a column that stands in an index, also
-- one in the predicate of a partial index, writes a new entry into every index of the table (it cannot be "HOT"). So
-- what keeps the indexes small is vacuum, and it has to come after a number of dead rows that fits the table, not after
-- the usual fifth of it. Its pace is raised with it: five times the usual work between two naps of 2 ms.

-- Each progression changes due_at, so each leaves a dead row and dead entries at the left edge of the due index, where
-- claims read. fillfactor 80 stays from 0001: 50 made no difference. Statistics follow vacuum at half its pace.
ALTER TABLE campaign_engine.conversations SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_limit = 1000,
    autovacuum_analyze_scale_factor = 0.02
);

-- Only ever inserted into. No row dies, but pages have to be frozen some day: with each tenth of growth, and at once
-- for good (freeze_min_age 0), so that no pass ever writes a page a second time and none comes as one big storm.
ALTER TABLE campaign_engine.stage_history_default SET (
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_freeze_min_age = 0
);
ALTER TABLE campaign_engine.assignments SET (
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_freeze_min_age = 0
);

-- Each message dies twice, leased and then sent, near where it was written: hence fillfactor 80, from 0001. Workers read
-- the left edge of outbox_unsent, where the dead entries are.
ALTER TABLE campaign_engine.outbox_default SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_limit = 1000,
    autovacuum_analyze_scale_factor = 0.02
);

-- A queue: every row is deleted within seconds. Vacuum after a number of dead rows alone, however many there are, and
-- never hand the free end of the file back: that takes a lock for which ticks wait, and the space is used at once.
ALTER TABLE campaign_engine.metric_deltas SET (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_limit = 1000,
    vacuum_truncate = off
);

-- The counts of today are updated by every compaction, and no index knows the counts: with room on the page the new row
-- takes the place of an old one (HOT). The table is small, so half of each page may be free.
ALTER TABLE campaign_engine.metric_rollups SET (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 1000
);

-- Written once, then updated once, which takes the row out of the index of what waits: a dead row each.
ALTER TABLE campaign_engine.responses SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);
ALTER TABLE campaign_engine.events SET (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05
);

-- Changed in bulk, when a file of recipients is imported again.
ALTER TABLE campaign_engine.recipients SET (autovacuum_vacuum_scale_factor = 0.05);

-- Three updates a request, and every poll reads the table.
ALTER TABLE campaign_engine.campaign_requests SET (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_threshold = 100
);

-- A few rows, updated every few seconds for ever, in columns without an index: all versions fit on a page or two and are
-- cleared away by whoever comes next (HOT), if the page is not filled.
ALTER TABLE campaign_engine.members SET (fillfactor = 25, autovacuum_vacuum_scale_factor = 0);
ALTER TABLE campaign_engine.channel_state SET (fillfactor = 25, autovacuum_vacuum_scale_factor = 0);

-- send_gates needs nothing: its rows are locked and never changed, and a lock leaves no dead row. Nor do campaigns and
-- campaign_types, which are rarely written.

CREATE TABLE campaign_engine.dropped_spans (
    lower_at timestamptz NOT NULL PRIMARY KEY,
    upper_at timestamptz NOT NULL,
    dropped_at timestamptz NOT NULL
);
