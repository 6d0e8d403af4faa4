"""Expand: the processes at work, and how each of them fares.

Only adds: the version before goes on as it did, and is no member.
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute((SQL / "0003_members.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute("DROP TABLE campaign_engine.members")
