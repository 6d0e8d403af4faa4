"""The first tables, the reporting views and the roles.

Downgrading leaves the roles, which other databases of the cluster may use, and the schema `campaign_engine`,
which holds alembic's own table.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    # roles last: the row of a new role makes every other migration on the cluster wait for this commit
    for part in ("tables", "reporting", "roles"):
        op.execute((SQL / f"{revision}_{part}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP SCHEMA reporting CASCADE;
        DROP VIEW campaign_engine.stage_totals, campaign_engine.metric_counts;
        DROP TABLE campaign_engine.campaign_types, campaign_engine.campaigns,
            campaign_engine.campaign_requests, campaign_engine.channel_state, campaign_engine.recipients,
            campaign_engine.conversations, campaign_engine.stage_history, campaign_engine.outbox,
            campaign_engine.responses, campaign_engine.events, campaign_engine.assignments,
            campaign_engine.metric_deltas, campaign_engine.metric_rollups;
    """)
