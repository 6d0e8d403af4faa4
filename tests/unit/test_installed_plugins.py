"""Plug-ins are found by the entry points of installed packages, here of a package laid out on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.errors import CampaignError
from engine.core.plugins import NO_PLUGINS
from engine.plugins import installed_plugins

MODULE = """
from engine.core.fact_types import parse_fact_type
from engine.core.plugins import ActionPlugin, ActionResult, ClassifierPlugin, MatcherPlugin, NamePlugin

mood = ClassifierPlugin("mood", ("glad",), lambda text, locale: "glad" if ":)" in text else None)
stars = MatcherPlugin("stars", "true", parse_fact_type("int"), lambda argument, text, locale: text.count("*"))
ring = ActionPlugin("ring", {"times": parse_fact_type("int 1..9")}, lambda arguments, facts, captured: ActionResult())
seats_left = NamePlugin("seats_left", parse_fact_type("int"), lambda facts, captured: None)
number = MatcherPlugin("number", "true", parse_fact_type("int"), lambda argument, text, locale: 1)
odd = ClassifierPlugin("two words", None, lambda text, locale: None)
"""
Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    def write(entry_points: str) -> None:
        info = tmp_path / "sample_pack-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sample-pack\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        (tmp_path / "sample_pack.py").write_text(MODULE)
        monkeypatch.syspath_prepend(tmp_path)
        installed_plugins.cache_clear()

    yield write
    sys.modules.pop("sample_pack", None)
    installed_plugins.cache_clear()


def test_without_packages_there_are_no_plugins() -> None:
    installed_plugins.cache_clear()
    assert installed_plugins() == NO_PLUGINS


def test_plugins_of_every_kind_are_found_by_their_entry_points(install: Install) -> None:
    install(
        "[campaign_engine.matchers]\nstars = sample_pack:stars\n"
        "[campaign_engine.classifiers]\nmood = sample_pack:mood\n"
        "[campaign_engine.actions]\nring = sample_pack:ring\n"
        "[campaign_engine.names]\nseats_left = sample_pack:seats_left\n"
    )
    found = installed_plugins()
    assert [*found.matchers, *found.classifiers, *found.actions, *found.names] == [
        "stars",
        "mood",
        "ring",
        "seats_left",
    ]
    assert found.classifiers["mood"].classify(":)", "en") == "glad"
    assert installed_plugins() is found


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("classifiers]\nx = sample_pack:lost", "has no attribute 'lost'"),
        ("classifiers]\nx = nowhere_at_all:mood", "No module named 'nowhere_at_all'"),
        ("classifiers]\nx = sample_pack:stars", "expected a ClassifierPlugin, got MatcherPlugin"),
        ("classifiers]\nx = sample_pack:odd", "expected one name for both, of letters, digits and underscores"),
        ("matchers]\nx = sample_pack:number", "takes the name 'number' of a built-in"),
        ("matchers]\na = sample_pack:stars\nx = sample_pack:stars", "takes the name 'stars', as does the plug-in 'a'"),
    ],
)
def test_a_broken_plugin_names_its_package_and_entry_point(entry: str, reason: str, install: Install) -> None:
    install(f"[campaign_engine.{entry}\n")
    with pytest.raises(CampaignError) as told:
        installed_plugins()
    assert reason in str(told.value)
    assert f"the plug-in 'x' (campaign_engine.{entry.partition(']')[0]}) of the package sample-pack" in str(told.value)
