"""A deploy: the next version migrates the schema and starts while the present one is at work, and both go on.

The next version is a copy of the program with one more migration that expands: a column and an index are added. What
runs already is not asked about the schema again; a program of the present version that is *started* on the newer schema
may be refused, and none is started here after the migration. Both write the same columns; what a next version writes
elsewhere is for its own tests.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.db.migrate import head
from tests.faults.site import RELAY, RELAY_ENDS, ROOT, Site
from tests.integration.builders import neighbours

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
    fitness = program / "engine" / "db" / "fitness.py"
    fitness.write_text(fitness.read_text().replace(f'REVISION = "{head()}"', 'REVISION = "next"'))
    about = program / "campaign_engine-99.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: campaign-engine\nVersion: 99.0\n")
    return program


async def test_two_versions_work_side_by_side_during_a_deploy(site: Site, next_version: Path) -> None:
    hurried = {"STAGE_DELAY_FACTOR": "0.3", "MAX_BATCH_SIZE": "10", "LOG_LEVEL": "WARNING"}
    old = [await site.start(command, url=site.direct_url, **hurried) for command in ("tick", "work")]
    await moves(site, "before")

    told = await site.start("--version", program=next_version)
    upgraded = await site.start("db", "upgrade", program=next_version)
    assert (await told.wait(), await upgraded.wait()) == (0, 0), site.errors(upgraded)
    assert site.printed(told).strip() == "99.0"
    await moves(site, "after")

    with (
        site.proxy.hold("campaign_engine.conversations") as ticks,
        site.proxy.hold("campaign_engine.outbox") as works,
    ):
        new = [await site.start(command, program=next_version, **hurried) for command in ("tick", "work")]
        for hold in (ticks, works):
            (await hold.wait()).release()
    await moves(site, "together")

    await site.stop(*old)
    await moves(site, "alone")
    await site.stop(*new)
    assert [site.errors(each) for each in (*old, *new)] == [""] * 4
    assert await site.count("conversations WHERE mood IS NULL") == 4 * 4
    await site.read_clock()
    await site.settles(*RELAY_ENDS)


async def moves(site: Site, name: str) -> None:
    """Return when people of a new campaign have got a second message."""
    await site.read_clock()
    id = await site.house.campaign(neighbours(4, name), RELAY, name=name)
    await site.until(lambda: site.is_any(f"outbox WHERE campaign_id = '{id}' AND seq = 2 AND status = 'sent'"))
