"""A deploy: the next version migrates the schema and starts while the present one is at work, and both go on.

The next version is a copy of the program with one more migration that expands: a column and an index are added. What
runs already is not asked about the schema again; a program of the present version that is *started* on the newer schema
may be refused, and none is started here after the migration.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.db.migrate import head
from tests.faults.site import RELAY, ROOT, Site
from tests.integration.builders import people

MIGRATION = '''
"""Expand: a column and an index of the next version."""

from alembic import op

revision = "next"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE campaign_engine.conversations ADD COLUMN mood text")
    op.execute("CREATE INDEX responses_stage ON campaign_engine.responses (bucket, stage)")


def downgrade() -> None:
    op.execute("DROP INDEX campaign_engine.responses_stage")
    op.execute("ALTER TABLE campaign_engine.conversations DROP COLUMN mood")
'''


@pytest.fixture
def next_version(tmp_path: Path) -> Path:
    """The folder of a program that calls itself 99.0 and knows one migration more."""
    program = tmp_path / "next"
    for part in ("engine", "migrations"):
        shutil.copytree(ROOT / part, program / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", program)
    (program / "migrations" / "versions" / "next.py").write_text(MIGRATION.format(before=head()))
    about = program / "campaign_engine-99.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: campaign-engine\nVersion: 99.0\n")
    return program


async def test_two_versions_work_side_by_side_during_a_deploy(site: Site, next_version: Path) -> None:
    await site.read_clock()
    await site.house.campaign(people(16), RELAY)
    hurried = {"STAGE_DELAY_FACTOR": "0.3", "MAX_BATCH_SIZE": "10", "LOG_LEVEL": "WARNING"}
    old = [await site.start(command, **hurried) for command in ("tick", "work")]
    await site.until(lambda: site.is_any("stage_history WHERE seq = 3"))

    told = await site.start("--version", program=next_version)
    upgraded = await site.start("db", "upgrade", program=next_version)
    assert (await told.wait(), await upgraded.wait()) == (0, 0), site.errors(upgraded)
    assert "99.0" in site.printed(told)
    assert await site.is_none("conversations WHERE mood IS NOT NULL")

    new = [await site.start(command, program=next_version, **hurried) for command in ("tick", "work")]
    # more to do than the old ones alone will have done by the time the new ones are up
    await site.house.campaign([each | {"key": f"later-{each['key']}"} for each in people(16)], RELAY, name="Later")
    await site.until(lambda: site.is_none("conversations WHERE status = 'active'"))
    await site.until(lambda: site.is_none("outbox WHERE status <> 'sent'"))
    assert [each.returncode for each in (*old, *new)] == [None] * 4
    await site.stop(*old, *new)
    for each in (*old, *new):
        assert '"level": "error"' not in site.errors(each).replace('":"', '": "')
        assert any(int(number) > 0 for number in site.printed(each).split() if number.isdigit()), site.printed(each)
    await site.read_clock()
    await site.settles("1d")
