"""The instants a conversation waits for get a column of their own, so that alike conversations can be told in SQL.

Not an expand step: no version was released before it, and the version before cannot read what this one writes. Stop its
processes first. Every unfinished conversation is rewritten.
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute((SQL / "0004_pending.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute((SQL / "0004_pending_back.sql").read_text(encoding="utf-8"))
