"""How far a search still has to go: the fewest entries of stages from each stage to what it looks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain

from engine.core.checks.ways import landings
from engine.core.compiled import CompiledType
from engine.core.spec import CampaignTypeSpec, StageSpec
from engine.core.vocabulary import STAY

_FAR = 1_000_000


class Goals:
    """Edges by their keys, and exits by their names; `open` are those not closed yet."""

    def __init__(self, compiled: CompiledType, goals: Iterable[str]) -> None:
        spec = compiled.spec
        self.open = set(goals)
        self._places: dict[str, tuple[str, ...]] = {name: (name,) for name in spec.exits}
        self._places |= {edge.key: (edge.source,) if edge.source else tuple(spec.stages) for edge in compiled.edges}
        self._leads_back = _leads_back(spec)
        self._distances = self._measured()

    def close(self, goals: Iterable[str]) -> None:
        self.open.difference_update(goals)
        self._distances = self._measured()

    def distance(self, stage: str) -> int:
        """The fewest entries from a stage to the place of an open goal; very many when there is no way."""
        return self._distances.get(stage, _FAR)

    def _measured(self) -> dict[str, int]:
        ring = {place for goal in self.open for place in self._places[goal]}
        found: dict[str, int] = {}
        steps = 0
        while ring:
            found |= dict.fromkeys(ring, steps)
            ring = {back for name in ring for back in self._leads_back.get(name, ())} - found.keys()
            steps += 1
        return found


def _leads_back(spec: CampaignTypeSpec) -> Mapping[str, set[str]]:
    """For each stage and exit, the stages that an edge leads from."""
    back: dict[str, set[str]] = {}
    anywhere = [edge.target for edge in spec.always] + ([spec.ends_within.then] if spec.ends_within else [])
    for name, stage in spec.stages.items():
        for target in {*_targets(stage), *anywhere} - {STAY}:
            for each in landings(spec, target):
                back.setdefault(each, set()).add(name)
    return back


def _targets(stage: StageSpec) -> Iterable[str]:
    edges = chain(stage.on_response, stage.split, stage.timers, *stage.on_event.values())
    return (edge.target for edge in edges)
