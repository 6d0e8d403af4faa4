"""Expand: what holds messages back when they leave, and the events that campaigns emit.

Only adds: the version before goes on as it did, and knows nothing of windows, limits and emitted events. It leases
messages without the gate, so limits are exact once its workers are gone. The two indexes are built while nobody can
write to the outbox. Downgrading keeps emitted events, without their stage.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for part in ("tables", "reporting", "rights"):
        op.execute((SQL / f"{revision}_{part}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP VIEW reporting.emitted_events;
        DROP TABLE campaign_engine.send_gates;
        DROP INDEX campaign_engine.outbox_sent, campaign_engine.outbox_leased, campaign_engine.events_emitted;
        ALTER TABLE campaign_engine.events DROP COLUMN stage;
        ALTER TABLE campaign_engine.outbox DROP COLUMN ignores_window, DROP COLUMN ignores_limits;
    """)
