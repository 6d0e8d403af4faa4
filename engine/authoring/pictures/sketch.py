"""What stands in the picture of a campaign type and what it is linked by, before anything has a place or size.

Links between the same two are one, with several captions. What holds in every stage leaves from one node of its own;
stays are lines of their node. An exit with many links becomes one node for each of its sources, so that lines stay
short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from engine.authoring.pictures.captions import action, anywhere_lines, caption, exit_lines, stage_lines
from engine.authoring.pictures.ways import Way, ways_from_anywhere, ways_of
from engine.core.spec import CampaignTypeSpec, Outcome

_SHARED_BY = 3
_START, _ANYWHERE = "(start)", "(any stage)"


@dataclass(frozen=True, slots=True)
class Node:
    """A thing in a box: its name, its lines of text, and what is told when somebody points at it."""

    kind: Literal["start", "anywhere", "stage", "split"] | Outcome
    name: str
    lines: tuple[str, ...] = ()
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Caption:
    """One reason to follow a link: its cause, the guard it must pass, and what is done on the way."""

    cause: str
    guard: str
    done: tuple[str, ...]


@dataclass(slots=True)
class Link:
    """From one node to another, by their index; `timed` when time alone takes it."""

    source: int
    target: int
    captions: list[Caption] = field(default_factory=list)
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Sketch:
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


def sketch(spec: CampaignTypeSpec) -> Sketch:
    """The nodes and links of a campaign type, in the order of the file.

    >>> from engine.core.loader import parse_campaign_type
    >>> drawn = sketch(parse_campaign_type('''
    ... campaign_type: hello
    ... version: 1
    ... start: greet
    ... stages: {greet: {timers: [{after: 3d, go: no_answer}]}}
    ... exits: {no_answer: lost}
    ... ''', "hello.yaml").spec)
    >>> [node.name for node in drawn.nodes]
    ['(start)', 'greet', 'no_answer']
    >>> [(link.source, link.target, [caption.cause for caption in link.captions]) for link in drawn.links]
    [(0, 1, []), (1, 2, ['after 3d'])]
    """
    found = list(_ways(spec))
    many = _many(spec, found)
    nodes = {_START: Node("start", _START, tip="A conversation begins here."), **_waiting(spec)}
    links: dict[tuple[str, str], Link] = {}
    for source, way in found:
        target = f"{way.target} from {source}" if way.target in many else way.target
        if way.target in spec.exits:
            nodes.setdefault(target, _exit(spec, way.target))
        index = list(nodes).index
        link = links.setdefault((source, target), Link(index(source), index(target), timed=way.timed))
        link.timed &= way.timed
        if way.label:
            link.captions.append(Caption(*caption(way), tuple(map(action, way.do))))
    return Sketch(tuple(nodes.values()), tuple(links.values()))


def _ways(spec: CampaignTypeSpec) -> Iterator[tuple[str, Way]]:
    """Every way that leads on, with its source; ways to what is not there are left to `lint`."""
    known = {*spec.stages, *spec.exits}
    yield from ((_START, way) for way in (Way(spec.start, ""),) if way.target in known)
    for name, stage in spec.stages.items():
        yield from ((name, way) for way in ways_of(stage) if way.target in known and way.target != name)
    yield from ((_ANYWHERE, way) for way in ways_from_anywhere(spec) if way.target in known)


def _many(spec: CampaignTypeSpec, ways: list[tuple[str, Way]]) -> set[str]:
    sources: dict[str, set[str]] = {}
    for source, way in ways:
        sources.setdefault(way.target, set()).add(source)
    return {name for name in spec.exits if len(sources.get(name, ())) > _SHARED_BY}


def _waiting(spec: CampaignTypeSpec) -> dict[str, Node]:
    nodes = {}
    for name, stage in spec.stages.items():
        guidance = " ".join((stage.guidance or "").split())
        nodes[name] = Node("split" if stage.split else "stage", name, tuple(stage_lines(name, stage)), guidance)
    if spec.always or spec.ends_within:
        tip = "This holds in every stage, before the stage itself is asked."
        nodes[_ANYWHERE] = Node("anywhere", "in any stage", tuple(anywhere_lines(spec)), tip)
    return nodes


def _exit(spec: CampaignTypeSpec, name: str) -> Node:
    exit = spec.exits[name]
    return Node(exit.outcome, name, (exit.outcome, *exit_lines(exit)))
