"""Pages of the documentation as things to run: their blocks, and a folder with a shell and a database to run them in.

What is done with a block follows from the language of its fence:

    console   commands after `$ ` (`> ` goes on), each with exactly the output below it; `…` stands for anything
    sql       must run; a `text` block right below it shows its rows, as psql prints them
    python    must run; a `text` block right below it is what it prints
    yaml      a whole campaign type has neither errors nor warnings, whole scenarios pass, people fit the type beside
              them, a part fits the vocabulary
    mermaid   what `campaign types show` draws of the campaign type above it
    text      nothing

A second word after the language is a file name under which the block is saved first. All blocks of a page run in
order, in one folder and one shell, so that a page can be followed from top to bottom.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import NamedTuple

import psycopg
import structlog
from typer.testing import CliRunner

from engine.authoring.files import check_file
from engine.authoring.linting import is_people_file
from engine.authoring.scenarios.run import run_scenarios
from engine.authoring.simulation.people_file import check_people_file
from engine.cli.app import app
from engine.core.loader import parse_campaign_type
from engine.core.spec import CampaignTypeSpec, ExitSpec, StageSpec
from engine.core.vocabulary import Spec
from engine.core.yaml_source import read_yaml

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(?P<language>\S*)(?: (?P<file>\S+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_DONE = "--- done, exit code"
_PART_OF_A_STAGE: dict[str, object] = {"timers": [{"after": "1d", "go": "stay"}]}
_PART_OF_A_TYPE: dict[str, object] = {
    "campaign_type": "part", "version": 1, "start": "one", "stages": {"one": _PART_OF_A_STAGE}, "exits": {"end": "won"},
}  # fmt: skip


class Block(NamedTuple):
    """A fenced block: `line` is that of its fence; `output` the text block right below it, None without one."""

    line: int
    language: str
    file: str | None
    text: str
    output: str | None


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    source = page.read_text(encoding="utf-8")
    found = list(_FENCE.finditer(source))
    blocks = []
    for place, match in enumerate(found):
        below = found[place + 1] if place + 1 < len(found) else None
        shown = below is not None and below["language"] == "text" and not source[match.end() : below.start()].strip()
        line = source.count("\n", 0, match.start()) + 1
        output = below["text"] if below is not None and shown else None
        blocks.append(Block(line, match["language"], match["file"], match["text"], output))
    return blocks


class Bench:
    """A folder with a shell, in which `campaign` is the command, and the database it uses."""

    def __init__(self, folder: Path, environment: dict[str, str], url: str) -> None:
        programs = folder / "programs"
        programs.mkdir()
        (programs / "campaign").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m engine.cli "$@"\n')
        (programs / "campaign").chmod(0o755)
        self.folder = folder / "checkout"
        self.folder.mkdir()
        for name in ("campaign_types", "examples"):
            (self.folder / name).symlink_to(ROOT / name)
        path = f"{programs}:{environment.get('PATH', '')}"
        self._environment = environment | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
        self._url = url
        self._type: str | None = None
        self._shell = subprocess.Popen(
            ["/bin/sh"],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def close(self) -> None:
        self._shell.communicate()
        structlog.reset_defaults()

    def run(self, block: Block) -> None:
        """Run one block. Raises AssertionError when it does not do what the page says."""
        if block.file:
            (self.folder / block.file).write_text(block.text, encoding="utf-8")
        getattr(self, f"_{block.language}", lambda _: None)(block)

    def command(self, text: str) -> str:
        """What a command prints, standard error included. Raises AssertionError when it fails."""
        if not text.startswith("campaign ") or set(text) & set("|&;<>"):
            return self._in_shell(text)
        # A process for each would cost minutes in all; the shell still says what the words of the command are.
        words = self._in_shell(f"printf '%s\\0' {text}").split("\0")[1:-1]
        with chdir(self.folder):
            done = CliRunner(env=self._environment).invoke(app, words, prog_name="campaign")
        assert done.exit_code == 0, f"{text}\n{done.output}"
        return done.output

    def _in_shell(self, text: str) -> str:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{{ {text}\n}} </dev/null\nprintf '\\n%s %s\\n' '{_DONE}' $?\n")
        self._shell.stdin.flush()
        lines = list(iter(self._shell.stdout.readline, "")) if self._shell.poll() is not None else []
        for line in iter(self._shell.stdout.readline, ""):
            if line.startswith(_DONE):
                break
            lines.append(line)
        printed = "".join(lines).removesuffix("\n")
        assert line == f"{_DONE} 0\n", f"{text}\n{printed}{line}"
        return printed

    def _console(self, block: Block) -> None:
        for command, expected in _commands(block.text):
            printed = self.command(command)
            assert _fits(expected, printed), f"{command}\nexpected:\n{expected}\ngot:\n{printed}"

    def _sql(self, block: Block) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            cursor = connection.execute(block.text.encode())
            if block.output is None:
                return
            assert cursor.pgresult is not None
            rows = [[column.name for column in cursor.description or ()]]
            for row in range(cursor.pgresult.ntuples):
                cells = [cursor.pgresult.get_value(row, column) for column in range(len(rows[0]))]
                rows.append([(cell or b"").decode() for cell in cells])
            assert _fits(_table(block.output), _table_of(rows)), f"got:\n{_table_of(rows)}"

    def _python(self, block: Block) -> None:
        done = subprocess.run(
            [sys.executable, "-c", block.text],
            cwd=self.folder, env=self._environment, capture_output=True, text=True, encoding="utf-8", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert block.output is None or _fits(block.output, done.stdout), f"got:\n{done.stdout}"

    def _yaml(self, block: Block) -> None:
        data = read_yaml(block.text, "page").data
        assert isinstance(data, dict), "a yaml block is a mapping"
        if block.file and is_people_file(Path(block.file)):
            assert check_people_file(self.folder / block.file) == []
        elif "scenarios" in data:
            assert block.file, "scenarios need a file name, and the campaign type beside it"
            report = run_scenarios(self.folder / block.file)
            assert report.failed == 0, report.render()
        elif "campaign_type" in data:
            self._check_type(block)
        else:
            _check_part(data)

    def _check_type(self, block: Block) -> None:
        if block.file:
            assert check_file(self.folder / block.file)[1] == []
            self._type = block.file
        else:
            assert parse_campaign_type(block.text, "page").warnings == ()

    def _mermaid(self, block: Block) -> None:
        drawn = self.command(f"campaign types show {self._type} --format mermaid")
        assert block.text == drawn, f"got:\n{drawn}"


def _commands(text: str) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with the output that is shown for it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        first, *rest = part.splitlines(keepends=True)
        more = 0
        while more < len(rest) and rest[more].startswith("> "):
            more += 1
        yield first + "".join(line[2:] for line in rest[:more]), "".join(rest[more:])


def _fits(expected: str, printed: str) -> bool:
    """Whether a text is as expected, where `…` stands for anything. How many spaces there are does not matter."""
    pattern = ".*".join(re.escape(part) for part in _narrow(expected).split("…"))
    return re.fullmatch(pattern, _narrow(printed), re.DOTALL) is not None


def _narrow(text: str) -> str:
    return re.sub(" +", " ", text.rstrip("\n"))


def _table(text: str) -> str:
    """A table as psql prints it, without its rule and the spaces around the cells."""
    lines = [line for line in text.splitlines() if line.strip("-+")]
    return _table_of([[cell.strip() for cell in line.split("|")] for line in lines])


def _table_of(rows: list[list[str]]) -> str:
    return "".join("|".join(row) + "\n" for row in rows)


def _check_part(data: dict[str, object]) -> None:
    """Raise ValidationError when a part of a campaign type, or of a stage or an exit, cannot be one."""
    homes: tuple[tuple[type[Spec], dict[str, object]], ...] = (
        (CampaignTypeSpec, _PART_OF_A_TYPE), (StageSpec, _PART_OF_A_STAGE), (ExitSpec, {"outcome": "won"}),
    )  # fmt: skip
    for model, rest in homes:
        if data.keys() <= model.model_fields.keys():
            model.model_validate(rest | data)
            return
    raise AssertionError(f"no part of a campaign type has the keys {', '.join(data)}")
