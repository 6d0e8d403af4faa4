"""Expand: how each table that churns is looked after, and a record of old history that was dropped.

Only adds. Partitions that were made meanwhile stay when this is taken back; the version before works with them.
"""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for part in ("upkeep", "rights"):
        op.execute((SQL / f"{revision}_{part}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP TABLE campaign_engine.dropped_spans;
        ALTER TABLE campaign_engine.conversations RESET (autovacuum_vacuum_cost_limit);
        ALTER TABLE campaign_engine.stage_history_default RESET (
            autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold, autovacuum_freeze_min_age);
        ALTER TABLE campaign_engine.assignments RESET (
            autovacuum_vacuum_insert_scale_factor, autovacuum_vacuum_insert_threshold, autovacuum_freeze_min_age);
        ALTER TABLE campaign_engine.outbox_default RESET (autovacuum_vacuum_cost_limit);
        ALTER TABLE campaign_engine.metric_deltas RESET (autovacuum_vacuum_cost_limit, vacuum_truncate);
        ALTER TABLE campaign_engine.metric_deltas SET (
            autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000);
        ALTER TABLE campaign_engine.metric_rollups RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
        ALTER TABLE campaign_engine.metric_rollups SET (fillfactor = 80);
        ALTER TABLE campaign_engine.responses RESET (
            autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor);
        ALTER TABLE campaign_engine.events RESET (
            autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor);
        ALTER TABLE campaign_engine.recipients RESET (autovacuum_vacuum_scale_factor);
        ALTER TABLE campaign_engine.campaign_requests RESET (
            autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
        ALTER TABLE campaign_engine.members RESET (fillfactor, autovacuum_vacuum_scale_factor);
        ALTER TABLE campaign_engine.channel_state RESET (fillfactor, autovacuum_vacuum_scale_factor);
    """)
