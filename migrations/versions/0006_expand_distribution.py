"""Expand: on the coordinator of a Citus cluster, the row tables are spread over its nodes by bucket.

Nothing happens anywhere else. The version before goes on as it did: every statement names its bucket already. Rows that
are there are copied while nobody can write. Downgrading leaves the tables where they are, for the same reason; Citus'
own `undistribute_table` refuses `metric_deltas`, whose id is an identity column.
"""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute((SQL / "0006_distribution.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    pass  # see above
