"""README and docs say what is so: every block runs, every link leads somewhere, every name exists."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
import typer

from engine.application import EMBEDDED_DATABASE
from engine.cli.app import app
from engine.db.embedded import EmbeddedPostgres, temporary_folder
from engine.settings import Settings
from tests.acceptance.pages import ROOT, Bench, blocks_of

README = ROOT / "README.md"
CHECKS = ROOT / "docs" / "checks.md"  # its blocks are broken on purpose and have a test of their own
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOR_OPERATORS = ("operating", "scaling")
LANGUAGES = {"console", "csv", "mermaid", "python", "sql", "text", "yaml"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="campaign-docs-", dir=temporary_folder()))
    made.chmod(0o711)  # a server that root starts runs as another account
    yield made
    shutil.rmtree(made)


@pytest.fixture
def embedded_bench(folder: Path) -> Iterator[Bench]:
    """A bench on a fresh machine: an embedded server of its own, nothing configured."""
    server = EmbeddedPostgres(folder / "home")
    server.start(keep=True)
    bench = Bench(folder, dict(os.environ) | {"CAMPAIGN_HOME": str(folder / "home")}, server.url(EMBEDDED_DATABASE))
    yield bench
    bench.close()
    server.shutdown()
    server.stop()


@pytest.fixture
def bench(folder: Path, server: SimpleNamespace) -> Iterator[Bench]:
    """A bench with an empty database given by DATABASE_URL."""
    url = f"postgresql://{server.user}@/{{}}?host={server.host}&port={server.port}"
    with psycopg.connect(url.format("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS docs WITH (FORCE)")
        connection.execute("CREATE DATABASE docs")
    made = Bench(folder, dict(os.environ) | {"DATABASE_URL": url.format("docs")}, url.format("docs"))
    yield made
    made.close()


def run_page(page: Path, bench: Bench) -> None:
    for block in blocks_of(page):
        assert block.language in LANGUAGES, f"{name_of(page)}:{block.line}: nobody runs {block.language}"
        try:
            bench.run(block)
        except (AssertionError, ValueError, psycopg.Error) as error:
            pytest.fail(f"{name_of(page)}:{block.line}: {error}")


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/tutorial.md",
        "docs/authoring.md",
        "docs/recipes.md",
        "docs/analysing.md",
        "docs/editors.md",
        "docs/simulation.md",
        "docs/plugins.md",
    ],
)
def test_a_page_can_be_followed_on_a_fresh_machine(page: str, embedded_bench: Bench) -> None:
    run_page(ROOT / page, embedded_bench)


@pytest.mark.parametrize("page", FOR_OPERATORS)
def test_a_page_for_operators_can_be_followed_on_a_given_database(page: str, bench: Bench) -> None:
    run_page(ROOT / "docs" / f"{page}.md", bench)


def test_only_pages_that_are_followed_have_blocks_to_run() -> None:
    names = ("tutorial", "authoring", "recipes", "analysing", "editors", "simulation", "plugins", *FOR_OPERATORS)
    followed = {README, CHECKS, *((ROOT / "docs" / f"{name}.md") for name in names)}
    for page in set(PAGES) - followed:
        assert {block.language for block in blocks_of(page)} <= {"text"}, name_of(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} is not there"
        assert not heading or heading in headings(file), f"{target}: no such heading"


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_and_python_names_in_the_text_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for quoted in re.findall(r"`([^`\n]+)`", text):
        if re.fullmatch(r"(?:engine|docs|tests|migrations|examples|campaign_types|benchmarks)/[\w./]*", quoted):
            assert (ROOT / quoted).exists(), f"{quoted} is not there"
        elif re.fullmatch(r"engine(?:\.\w+)+", quoted):
            assert found(quoted), f"{quoted} is not there"


def found(dotted: str) -> bool:
    """Whether a dotted name is a module or something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        try:
            it: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            it = getattr(it, name, None)
        return it is not None
    return False


def test_the_readme_tells_every_setting_with_its_default_and_meaning() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (.+?) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    settings = [(name.upper(), shown(it.default), it.description) for name, it in Settings.model_fields.items()]
    assert rows == settings


def shown(default: Any) -> str:
    if default in (None, "", {}):
        return "unset"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def test_every_command_is_told_of_somewhere() -> None:
    told = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    missing = [name for name in commands(typer.main.get_command(app), "campaign") if name not in told]
    assert missing == []


def commands(command: Any, name: str) -> Iterator[str]:
    """The full names of all commands below this one."""
    inside = getattr(command, "commands", None)
    if inside is None:
        yield name
        return
    for each, below in inside.items():
        yield from commands(below, f"{name} {each}")


def test_the_readme_names_the_two_commands_that_dev_has() -> None:
    blocks = [block.text for block in blocks_of(README) if block.language == "text"]
    assert blocks[:2] == ["./dev demo\n", "./dev test\n"]
    usage = (ROOT / "dev").read_text(encoding="utf-8")
    assert all(block.strip() in usage for block in blocks[:2])
