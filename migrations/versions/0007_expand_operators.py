"""Expand: what operators need to see and do.

Moves by hand are kept with their reason, what failed is found without a walk through whole tables, and the order of the
buckets, on which every id rests, stands in the database. Only adds: the version before goes on as it did. The indexes
are built while nobody can write to their tables. Downgrading forgets why conversations were moved.
"""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for part in ("operators", "distribution"):
        op.execute((SQL / f"{revision}_{part}.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("""
        DROP VIEW reporting.moves;
        DROP TABLE campaign_engine.moves;
        DROP INDEX campaign_engine.conversations_failing, campaign_engine.outbox_failed,
            campaign_engine.responses_unmatched;
        ALTER TABLE campaign_engine.conversations DROP COLUMN failed_at;
        ALTER TABLE campaign_engine.send_gates DROP COLUMN place;
    """)
