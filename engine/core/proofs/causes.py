"""What makes a conversation take an edge, in the words of the YAML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.core.spec import CampaignTypeSpec, EdgeSpec, StageSpec, TimerSpec


def causes_of(spec: CampaignTypeSpec) -> Mapping[str, str]:
    """The cause of every edge, by its key.

    >>> from engine.core.spec import CampaignTypeSpec
    >>> stages = {"ask": {"timers": [{"after": "3d", "go": "over"}]}}
    >>> source = {"campaign_type": "hello", "version": 1, "start": "ask", "stages": stages, "exits": {"over": "lost"}}
    >>> dict(causes_of(CampaignTypeSpec.model_validate(source)))
    {'stages.ask.timers[0]': 'after 3d'}
    """
    causes = {f"always[{index}]": _heard("response or event", edge) for index, edge in enumerate(spec.always)}
    for name, stage in spec.stages.items():
        causes |= {f"stages.{name}.{key}": cause for key, cause in _of_stage(stage)}
    if spec.ends_within:
        causes["ends_within"] = f"ends_within {spec.ends_within.at_most}"
    return causes


def _of_stage(stage: StageSpec) -> Iterator[tuple[str, str]]:
    for index, edge in enumerate(stage.on_response):
        yield f"on_response[{index}]", _heard("response", edge, alone=len(stage.on_response) == 1)
    for event, edges in stage.on_event.items():
        for index, edge in enumerate(edges):
            yield f"on_event.{event}[{index}]", f"event {event} {edge.when}" if edge.when else f"event {event}"
    for index, branch in enumerate(stage.split):
        yield f"split[{index}]", f"share {branch.share}" if branch.share else branch.when or "otherwise"
    for index, timer in enumerate(stage.timers):
        yield f"timers[{index}]", _timed(timer)
    for index, follow_up in enumerate(stage.follow_ups):
        yield f"follow_ups[{index}]", f"follow-up {follow_up.send}"
    for index, escalation in enumerate(stage.escalate):
        yield f"escalate[{index}]", f"after {escalation.after} tell {escalation.to}"


def _heard(what: str, edge: EdgeSpec, *, alone: bool = False) -> str:
    if edge.when:
        return f"{what} {edge.when}"
    return f"any other {what}" if edge.otherwise and not alone else f"any {what}"


def _timed(timer: TimerSpec) -> str:
    due = f"after {timer.after}" if timer.after else f"at {timer.at}"
    return f"{due} when {timer.when}" if timer.when else due
