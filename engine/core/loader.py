"""A campaign type's text into a `LoadedType`: read, shaped, its message files taken in, and checked.

Works in phases, since what a later one says of a broken part would only mislead: first what the YAML and its
shape get wrong, then, of a whole spec, what `checks` finds. All problems of a phase are raised together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.core.checks import check
from engine.core.errors import CampaignError, SpecError
from engine.core.ignores import silence
from engine.core.problems import Problem
from engine.core.shape import read_spec
from engine.core.spec import CampaignTypeSpec, MessageSpec
from engine.core.yaml_source import Document, read_yaml

ReadFile = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class LoadedType:
    """A campaign type as written: its spec, where each part stands, the text itself, and what to look at."""

    spec: CampaignTypeSpec
    document: Document
    source: str
    warnings: tuple[Problem, ...] = ()


def parse_campaign_type(source: str, file: str, read_file: ReadFile | None = None) -> LoadedType:
    """The campaign type that `source` holds; problems name it `file`.

    `read_file` gives the text of a message's `file:`, which replaces it in the spec, and raises CampaignError
    when it cannot; without it such messages stay as they are. Raises SpecError with every problem.

    >>> try:
    ...     parse_campaign_type("campaign_type: hello\\nversion: one", "hello.yaml")
    ... except SpecError as error:
    ...     [problem.code for problem in error.problems]
    ['E107', 'E107', 'E107', 'E107']
    """
    document = read_yaml(source, file)
    spec = _shaped(document)
    if read_file is not None:
        spec = _with_message_files(spec, document, read_file)
    loaded = LoadedType(spec, document, document.source)
    problems = silence(document, check(loaded))
    if any(problem.severity == "error" for problem in problems):
        raise SpecError(problems)
    return replace(loaded, warnings=tuple(sorted(problems)))


def _shaped(document: Document) -> CampaignTypeSpec:
    """The spec in `document`, which must have no problem. Raises SpecError with those of reading and shape."""
    if document.data is None:
        raise SpecError(document.problems)
    spec, misfits = read_spec(document)
    known = {(problem.line, problem.column) for problem in document.problems}
    # Through an alias one mistake is met in several parts of the spec, always at the same place in the file.
    misfits = [problem for problem in dict.fromkeys(misfits) if (problem.line, problem.column) not in known]
    if spec is None or document.problems:
        raise SpecError([*document.problems, *misfits])
    return spec


def _with_message_files(spec: CampaignTypeSpec, document: Document, read_file: ReadFile) -> CampaignTypeSpec:
    """`spec` with the text of every message's file in the message's place."""
    messages: dict[str, MessageSpec] = {}
    problems: list[Problem] = []
    for name, message in spec.messages.items():
        messages[name] = message
        if message.file is None:
            continue
        try:
            messages[name] = _with_text(message, read_file(message.file))
        except CampaignError as error:
            problems.append(document.problem("E103", error.message, ("messages", name, "file")))
    if problems:
        raise SpecError(problems)
    return spec.model_copy(update={"messages": messages})


def _with_text(message: MessageSpec, text: str) -> MessageSpec:
    if not text:
        raise CampaignError(f"the file {message.file} is empty; expected the text of a message")
    if "\0" in text:
        raise CampaignError(f"the file {message.file} holds a NUL character; expected text")
    given = message.model_dump(exclude_unset=True, exclude={"file"})
    return MessageSpec.model_validate({**given, "text": text})
