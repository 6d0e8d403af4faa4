"""A campaign type as a picture: a Mermaid state diagram, as GitHub and many editors draw it."""

from __future__ import annotations

from collections.abc import Iterator

from engine.core.spec import CampaignTypeSpec, EdgeSpec, StageSpec
from engine.core.vocabulary import STAY

_ANYWHERE = "any_stage__"
_RESERVED = {"class", "classdef", "default", "direction", "end", "fork", "join", "note", "state", "style"}
_ESCAPES = str.maketrans({each: f"#{ord(each)};" for each in '#:;<>"{}'} | {"\n": " "})


def mermaid(spec: CampaignTypeSpec) -> str:
    """The stages, exits and every way between them.

    >>> from engine.core.loader import parse_campaign_type
    >>> print(mermaid(parse_campaign_type('''
    ... campaign_type: hello
    ... version: 1
    ... start: greet
    ... stages: {greet: {timers: [{after: 3d, go: no_answer}]}}
    ... exits: {no_answer: lost}
    ... ''', "hello.yaml").spec))
    stateDiagram-v2
        [*] --> greet
        greet --> no_answer: after 3d
        no_answer --> [*]: lost
    """
    lines = [f'state "{name}" as {_id(name)}' for name in (*spec.stages, *spec.exits) if _id(name) != name]
    lines += [f"state {_id(name)} <<choice>>" for name, stage in spec.stages.items() if stage.split]
    lines += [_way("[*]", spec.start)]
    for name, stage in spec.stages.items():
        lines += [_way(name, target, label) for target, label in _ways(stage)]
    anywhere = list(_from_anywhere(spec))
    if anywhere:
        lines.append(f'state "any stage" as {_ANYWHERE}')
    lines += [_way(_ANYWHERE, target, label) for target, label in anywhere]
    lines += [f"{_id(name)} --> [*]: {each.outcome}" for name, each in spec.exits.items()]
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in lines)])


def _ways(stage: StageSpec) -> Iterator[tuple[str, str]]:
    """Where each edge of a stage goes, and what takes it, in the order of the vocabulary."""
    for branch in stage.split:
        yield branch.target, branch.share or branch.when or "otherwise"
    for edge in stage.on_response:
        yield edge.target, _labelled("response", edge)
    for event, edges in stage.on_event.items():
        for edge in edges:
            yield edge.target, _labelled(event, edge)
    for timer in stage.timers:
        yield timer.target, _labelled(f"after {timer.after}", timer)
    if stage.visits:
        yield stage.visits.then, f"more than {stage.visits.at_most} visits"


def _from_anywhere(spec: CampaignTypeSpec) -> Iterator[tuple[str, str]]:
    for edge in spec.always:
        yield edge.target, _labelled("response or event", edge)
    if spec.ends_within:
        yield spec.ends_within.then, f"{spec.ends_within.at_most} after the start"


def _labelled(what: str, edge: EdgeSpec) -> str:
    return f"{what}, {edge.when}" if edge.when else what


def _way(source: str, target: str, label: str = "") -> str:
    way = f"{_id(source)} --> {_id(target if target != STAY else source)}"
    return f"{way}: {label.translate(_ESCAPES)}" if label else way


def _id(name: str) -> str:
    """The name, or another where the language of the diagram has taken it."""
    return f"{name}_" if name.lower() in _RESERVED else name
