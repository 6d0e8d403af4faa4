"""What a picture of a campaign type says: short lines for boxes, labels and the heading.

Everything an author set is told. Keys and actions that have no wording of their own here, such as those of plug-ins,
are told as they stand in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from engine.authoring.pictures.ways import Way, ways_from_anywhere, ways_of
from engine.core.actions import AssignSpec, SetSpec
from engine.core.spec import CampaignTypeSpec, ExitSpec, StageSpec
from engine.core.vocabulary import STAY

_WORDED = {"guidance", "min_stay", "on_enter", "follow_ups", "escalate", "visits"}
_DRAWN = {"on_response", "on_event", "split", "timers"}
_GLOBAL = ("send_window", "limits")


def heading(spec: CampaignTypeSpec) -> list[str]:
    """The title, the name with its version, and what holds for the whole type.

    >>> from engine.core.loader import parse_campaign_type
    >>> heading(parse_campaign_type('''
    ... campaign_type: hello
    ... version: 1
    ... start: greet
    ... stages: {greet: {timers: [{after: 3d, go: no_answer}]}}
    ... exits: {no_answer: lost}
    ... ''', "hello.yaml").spec)
    ['hello', 'version 1 · email']
    """
    parts = [f"version {spec.version}", spec.channel]
    if spec.title:
        parts.insert(0, spec.campaign_type)
    held = _as_written(spec)
    return [spec.title or spec.campaign_type, " · ".join(parts)] + [
        f"{key.replace('_', ' ')}: {_plain(held[key])}" for key in _GLOBAL if key in held
    ]


def stage_lines(name: str, stage: StageSpec) -> list[str]:
    """What happens in a stage without leaving it, one line each."""
    lines = [f"{key}: {_plain(value)}" for key, value in _as_written(stage).items() if key not in _WORDED | _DRAWN]
    lines += map(action, stage.on_enter)
    if stage.min_stay:
        lines.append(f"responses wait for {stage.min_stay}")
    lines += [_follow_up(_as_written(each), more=index > 0) for index, each in enumerate(stage.follow_ups)]
    lines += [f"after {each.after} tell {each.to} ({each.priority})" for each in stage.escalate]
    if stage.visits:
        lines.append(f"visits: at most {stage.visits.at_most}")
    return lines + stays(way for way in ways_of(stage) if way.target in (STAY, name))


def exit_lines(exit: ExitSpec) -> list[str]:
    """What happens on entering an exit."""
    return list(map(action, exit.on_enter))


def anywhere_lines(spec: CampaignTypeSpec) -> list[str]:
    """What `always` does without leaving a stage."""
    return stays(way for way in ways_from_anywhere(spec) if way.target == STAY)


def stays(ways: Iterator[Way]) -> list[str]:
    """A line for each edge that leads back into its own stage."""
    lines = []
    for way in ways:
        cause, guard = caption(way)
        done = list(map(action, way.do)) or ["stay" if way.target == STAY else "enter again"]
        bound = f" ({_times(way.at_most)})" if way.at_most else ""
        lines.append(f"{' '.join(filter(None, (cause, guard)))}: {', '.join(done)}{bound}")
    return lines


def caption(way: Way) -> tuple[str, str]:
    """What takes a way, and the guard it must pass, which may be empty.

    >>> caption(Way("lost", "response", rest=True))
    ('any other response', '')
    """
    cause = f"event {way.cause}" if way.event else way.cause
    if way.guard or way.timed or not cause:
        return cause, way.guard or ""
    if way.event or not cause.startswith("response"):
        return f"{cause}, otherwise" if way.rest else cause, ""
    return f"any other {cause}" if way.rest else f"any {cause}", ""


def action(done: BaseModel | Mapping[str, Any]) -> str:
    """An action in a few words.

    >>> action({"emit": "qualified", "with": ["plan", "seats"]})
    'emit qualified, with plan, seats'
    """
    if isinstance(done, AssignSpec):
        return f"assign to {done.assign.to} ({done.assign.priority})"
    if isinstance(done, SetSpec):
        return "set " + ", ".join(f"{fact} = {_plain(value)}" for fact, value in done.set.items())
    written = dict(_as_written(done))
    soon = f" after {written.pop('after')}" if {"send", "after"} <= set(written) else ""
    first = _plain(dict([next(iter(written.items()))])) + soon if written else ""
    return ", ".join(filter(None, (first, _plain(dict(list(written.items())[1:])))))


def _follow_up(written: Mapping[str, Any], *, more: bool) -> str:
    times = written.get("times", 1)
    rest = {key: value for key, value in written.items() if key not in ("after", "send", "times")}
    line = f"silent {written['after']}{' more' if more else ''}: send {written['send']}"
    return line + (f" × {times}" if times > 1 else "") + (f", {_plain(rest)}" if rest else "")


def _times(count: int) -> str:
    return "once" if count == 1 else f"at most {count} times"


def _as_written(value: BaseModel | Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys that the author set, with plain values."""
    return value.model_dump(mode="json", by_alias=True, exclude_unset=True) if isinstance(value, BaseModel) else value


def _plain(value: object) -> str:
    """Plain data in one line, without the marks of YAML.

    >>> _plain({"days": "mon-fri", "holidays": ["US", "DE"], "strict": True})
    'days mon-fri, holidays US, DE, strict'
    """
    if isinstance(value, Mapping):
        return ", ".join(str(key) if each is True else f"{key} {_plain(each)}" for key, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_plain, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
