"""A campaign type as a picture: a Mermaid state diagram, as GitHub and many editors draw it."""

from __future__ import annotations

from engine.authoring.pictures.ways import ways_from_anywhere, ways_of
from engine.core.spec import CampaignTypeSpec
from engine.core.vocabulary import STAY

_ANYWHERE = "any_stage__"
_RESERVED = {"class", "classdef", "default", "direction", "end", "fork", "join", "note", "state", "style"}
_STYLES = {
    "won": "fill:#d5f0da,stroke:#2e7d32,color:#0d3311",
    "lost": "fill:#f6d5d5,stroke:#b3261e,color:#410e0b",
    "stopped": "fill:#fce8c5,stroke:#b26a00,color:#3d2500",
}
_ESCAPES = str.maketrans({each: f"#{ord(each)};" for each in '#:;<>"{}'} | {"\n": " "})


def mermaid(spec: CampaignTypeSpec) -> str:
    """The stages, exits and every way between them; exits have the colour of their outcome.

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
        classDef lost fill:#f6d5d5,stroke:#b3261e,color:#410e0b
        class no_answer lost
    """
    lines = [f'state "{name}" as {_id(name)}' for name in (*spec.stages, *spec.exits) if _id(name) != name]
    lines += [f"state {_id(name)} <<choice>>" for name, stage in spec.stages.items() if stage.split]
    lines += [_arrow("[*]", spec.start)]
    for name, stage in spec.stages.items():
        lines += [_arrow(name, way.target, way.label) for way in ways_of(stage)]
    anywhere = list(ways_from_anywhere(spec))
    if anywhere:
        lines.append(f'state "any stage" as {_ANYWHERE}')
    lines += [_arrow(_ANYWHERE, way.target, way.label) for way in anywhere]
    lines += [f"{_id(name)} --> [*]: {each.outcome}" for name, each in spec.exits.items()]
    outcomes = {name: each.outcome for name, each in spec.exits.items()}
    lines += [f"classDef {outcome} {style}" for outcome, style in _STYLES.items() if outcome in outcomes.values()]
    lines += [f"class {_id(name)} {outcome}" for name, outcome in outcomes.items()]
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in lines)])


def _arrow(source: str, target: str, label: str = "") -> str:
    arrow = f"{_id(source)} --> {_id(target if target != STAY else source)}"
    return f"{arrow}: {label.translate(_ESCAPES)}" if label else arrow


def _id(name: str) -> str:
    """The name, or another where the language of the diagram has taken it."""
    return f"{name}_" if name.lower() in _RESERVED else name
