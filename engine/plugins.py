"""The plug-ins installed beside the engine, found by their entry points.

A package offers one as an entry point of the group `campaign_engine.matchers`, `.classifiers`, `.actions` or
`.names`, which leads to a plug-in value of `engine.core.plugins`. One that cannot be loaded, is something else, or
takes a name that is taken stops the program, with the package and the entry point: a campaign that runs without
what it was written for would do harm quietly.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from engine.core.actions import ACTIONS
from engine.core.checks.names import BUILT_INS
from engine.core.errors import CampaignError
from engine.core.expressions import KEYWORDS
from engine.core.matchers import MATCHERS
from engine.core.plugins import (
    NO_PLUGINS,
    ActionPlugin,
    ClassifierPlugin,
    MatcherPlugin,
    NamePlugin,
    Plugins,
    plugins_in_use,
    use_plugins,
)

_PREFIX = "campaign_engine."
_GROUPS: dict[str, tuple[type[Any], frozenset[str]]] = {
    "matchers": (MatcherPlugin, frozenset(MATCHERS)),
    "classifiers": (ClassifierPlugin, frozenset()),
    "actions": (ActionPlugin, frozenset(ACTIONS)),
    "names": (NamePlugin, frozenset({*BUILT_INS, *KEYWORDS})),
}
_HINT = "Mend, update or uninstall that package."


@cache
def installed_plugins() -> Plugins:
    """Every plug-in installed, looked for once per process. Raises CampaignError for one that cannot be used."""
    entries = entry_points()  # once, since it reads what every installed package says of itself
    found = {group: _plugins(entries.select(group=f"{_PREFIX}{group}"), *_GROUPS[group]) for group in _GROUPS}
    return Plugins(**found) if any(found.values()) else NO_PLUGINS


def use_installed_plugins() -> None:
    """Let campaign types use what is installed, unless this process was told what to use. Raises CampaignError."""
    if plugins_in_use() is NO_PLUGINS:
        use_plugins(installed_plugins())


def _plugins(entries: EntryPoints, kind: type[Any], taken: frozenset[str]) -> dict[str, Any]:
    found: dict[str, tuple[EntryPoint, Any]] = {}
    for entry in entries:
        plugin = _load(entry, kind)
        if plugin.name in taken:
            raise CampaignError(f"{_named(entry)} takes the name {plugin.name!r} of a built-in", hint=_HINT)
        if plugin.name in found:
            other = _named(found[plugin.name][0])
            raise CampaignError(f"{_named(entry)} takes the name {plugin.name!r}, as does {other}", hint=_HINT)
        found[plugin.name] = entry, plugin
    return {name: plugin for name, (_, plugin) in found.items()}


def _load(entry: EntryPoint, kind: type[Any]) -> Any:
    try:
        plugin = entry.load()
        if not isinstance(plugin, kind):
            raise TypeError(f"expected a {kind.__name__}, got {type(plugin).__name__}")
        Plugins(**{entry.group.rpartition(".")[2]: {plugin.name: plugin}})  # says what is wrong with the name
    except Exception as error:
        raise CampaignError(f"{_named(entry)} cannot be used: {error}", hint=_HINT) from error
    return plugin


def _named(entry: EntryPoint) -> str:
    package = entry.dist.name if entry.dist else "unknown"
    return f"the plug-in {entry.name!r} ({entry.group}) of the package {package}"
