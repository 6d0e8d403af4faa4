"""Campaign types on disk: the YAML file and the message files beside it.

A file that cannot be opened is a CampaignError, since there is no place in it to point at; what is wrong inside
one is a SpecError with places. Text is UTF-8, with or without a byte order mark, with any line ends. Message
files must lie in the campaign type's own folder or below, so that registering a type never reads anything else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.core.composer import LONGEST
from engine.core.errors import CampaignError, SpecError
from engine.core.loader import LoadedType, parse_campaign_type
from engine.core.problems import Problem
from engine.plugins import use_installed_plugins

if TYPE_CHECKING:
    from engine.core.compiled import CompiledType

_MOST_BYTES = 4 * LONGEST  # as many as the longest text can take
_BOM = b"\xef\xbb\xbf"


def load_campaign_type(path: str | Path) -> CompiledType:
    """The campaign type in the file at `path`, compiled. Raises CampaignError, or SpecError with all problems."""
    from engine.core.machine import compile_campaign_type  # what only lints need not load the state machine

    return compile_campaign_type(load_spec(path).spec)


def load_spec(path: str | Path) -> LoadedType:
    """The campaign type in the file at `path`, with its places and warnings.

    The texts of its message files are in the spec. Raises CampaignError, or SpecError with all problems.
    """
    return _parsed(Path(path), str(path))


def check_file(path: str | Path) -> tuple[LoadedType | None, list[Problem]]:
    """The campaign type at `path`, or None, and every problem in it, sorted.

    Raises CampaignError when there is no such file to read.
    """
    try:
        loaded = load_spec(path)
    except SpecError as error:
        return None, list(error.problems)
    return loaded, list(loaded.warnings)


def _parsed(path: Path, name: str) -> LoadedType:
    use_installed_plugins()
    folder = path.parent
    return parse_campaign_type(read_source(path), name, lambda message_file: _read_message(folder, message_file))


def read_source(path: str | Path) -> str:
    """The text of a YAML file, as it is. Raises CampaignError, or SpecError when it is too long or not UTF-8."""
    data = _read(Path(path), str(path))
    if len(data) > _MOST_BYTES:
        message = f"the file is too long; expected at most {LONGEST:,} characters"
        raise SpecError([Problem(str(path), 1, 1, "E100", message)])
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise SpecError([_undecodable(error, data, str(path))]) from error


def _undecodable(error: UnicodeDecodeError, data: bytes, name: str) -> Problem:
    """The byte that is not UTF-8, at its line and column."""
    before = data[: error.start].removeprefix(_BOM).decode().replace("\r\n", "\n").replace("\r", "\n")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = f"the byte 0x{data[error.start]:02X} is not UTF-8 text; save the file as UTF-8"
    return Problem(name, line, column, "E100", message)


def _read_message(folder: Path, name: str) -> str:
    """The text of a message file; its line ends become line feeds."""
    try:
        path = (folder / name).resolve()
        inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:
        raise CampaignError(f"the file name {name[:80]!r} cannot be used; expected one in this folder") from error
    if not inside:
        raise CampaignError(f"the file {name[:80]!r} lies outside the campaign type's folder; expected one in it")
    data = _read(path, name)
    if len(data) > _MOST_BYTES:
        raise CampaignError(f"the file {name[:80]!r} is too long; expected at most {LONGEST:,} characters")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CampaignError(f"the file {name[:80]!r} is not UTF-8 text; save it as UTF-8") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read(path: Path, name: str) -> bytes:
    """The bytes of an ordinary file, or one more than `_MOST_BYTES` when there are as many. Raises CampaignError."""
    shown = repr(name[:200])
    try:
        if path.is_dir():
            raise CampaignError(f"{shown} is a folder; expected a file", hint="Name a file in it.")
        if not path.is_file():
            raise CampaignError(f"there is no file {shown}", hint="Check the name and the folder you are in.")
        with path.open("rb") as file:
            return file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CampaignError(f"cannot read {shown}: {reason}", hint="Check its name and permissions.") from error
