"""What a soak comes to: its samples put together by spans of time, and whether the late ones are like the early."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable
from typing import Any

SAMPLE_SECONDS = 30


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed; 0 of none."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def in_spans(samples: list[dict[str, Any]], minutes: float) -> list[dict[str, Any]]:
    """The samples put together by spans of five minutes, or a sixth of a shorter run."""
    length = min(5.0, max(minutes / 6, SAMPLE_SECONDS / 60)) * 60
    groups: dict[int, list[dict[str, Any]]] = {}
    for each in samples:
        groups.setdefault(int((each["second"] - 1) // length), []).append(each)
    spans, before = [], samples[0]
    for number, group in sorted(groups.items()):
        last = group[-1]
        tables = last["tables"]
        moved = sum(each["progressions_per_second"] for each in group) * SAMPLE_SECONDS
        bytes_of = {name: each["heap"] + each["indexes"] for name, each in tables.items()}
        spans.append(
            {
                "minutes": f"{number * length / 60:g}-{(number + 1) * length / 60:g}",
                "progressions_per_second": mean(each["progressions_per_second"] for each in group),
                "pass p50, ms": middle(each["pass_ms"][0] for each in group),
                "pass p99, ms": middle(each["pass_ms"][1] for each in group),
                "us per claim": mean(each["us_per_claim"] for each in group),
                "tick, of a core": mean(each["tick_core"] for each in group),
                "late p50, s": statistics.median(each["late_s"][0] for each in group),
                "late p99, s": statistics.median(each["late_s"][1] for each in group),
                "late at most, s": max(each["late_s"][2] for each in group),
                "WAL per progression": (last["wal"] - before["wal"]) / max(1.0, moved) if last is not before else 0.0,
                "conversations, B a row": bytes_of["conversations"] / max(1, tables["conversations"]["rows"]),
                "due index, MB": last["indexes"]["conversations_due"] / 1e6,
                "unsent index, MB": last["indexes"]["outbox_unsent"] / 1e6,
                "deltas, MB": bytes_of["metric_deltas"] / 1e6,
                "rollups, B a row": bytes_of["metric_rollups"] / max(1, tables["metric_rollups"]["rows"]),
                "history, MB": bytes_of["stage_history"] / 1e6,
                "history, B a row": bytes_of["stage_history"] / max(1, tables["stage_history"]["rows"]),
                "outbox, MB": bytes_of["outbox"] / 1e6,
                "outbox, B a row": bytes_of["outbox"] / max(1, tables["outbox"]["rows"]),
                "dead rows": sum(each["dead"] for each in tables.values()),
                "partitions": tables["outbox"]["parts"],
            }
        )
        before = last
    return spans


FLAT = (
    "pass p50, ms", "pass p99, ms", "us per claim", "late p99, s", "conversations, B a row", "due index, MB",
    "unsent index, MB", "deltas, MB", "rollups, B a row", "history, B a row", "outbox, B a row",
)  # fmt: skip


def verdicts(spans: list[dict[str, Any]], keep_days: int) -> dict[str, str]:
    """For each figure that must not grow: whether the last span is like the one after a third of the time."""
    if len(spans) < 4:
        return {}
    early, late = spans[len(spans) // 3], spans[-1]
    names = (*FLAT, "history, MB", "outbox, MB") if keep_days else FLAT
    ratios = {name: late[name] / early[name] if early[name] else 1.0 for name in names}
    return {name: f"{'flat' if ratio <= 1.25 else 'GROWS'}, {ratio:.2f}" for name, ratio in ratios.items()}


def middle(values: Iterable[float]) -> float:
    """The median of what was measured; a sample in which no pass ended has 0."""
    return statistics.median([each for each in values if each] or [0.0])


def mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def shown(sample: dict[str, Any]) -> str:
    """A sample as one line."""
    sizes = {name: (each["heap"] + each["indexes"]) / 1e6 for name, each in sample["tables"].items()}
    main = ("conversations", "stage_history", "outbox", "metric_deltas", "metric_rollups", "events", "responses")
    dead = sum(each["dead"] for each in sample["tables"].values())
    return (
        f"{sample['second']:5} s  {sample['progressions_per_second']:5.0f}/s  sent {sample['sent_per_second']:4.0f}/s  "
        f"pass {sample['pass_ms'][0]:.0f}/{sample['pass_ms'][1]:.0f} ms  tick {sample['tick_core']:.0%}  "
        f"late {sample['late_s'][1]:.2f} s (most {sample['late_s'][2]:.2f})  overdue {sample['overdue_s']:.2f} s  "
        f"upkeep {sample['upkeep_ms']:.0f} ms {sample['upkeep']}  dead {dead}  "
        + " ".join(f"{name} {sizes[name]:.1f}" for name in main)
        + " MB"
    )


def show(result: dict[str, Any], say: Callable[[str], None]) -> None:
    say(json.dumps(result["machine"]))
    spans = result["spans"]
    say(f"{'':24}" + "".join(f"{each['minutes']:>10}" for each in spans))
    for name in [name for name in spans[0] if name != "minutes"]:
        values = "".join(f"{each[name]:10,.{2 if each[name] < 10 else 0}f}" for each in spans)
        say(f"{name:24}{values}   {result['verdicts'].get(name, '')}")
    say("upkeep: " + json.dumps(result["samples"][-1]["upkeep"]))
    for name, each in result["samples"][-1]["tables"].items():
        hot = each["hot"] / each["updates"] if each["updates"] else 0
        say(f"{name:24}{each['rows']:10,} rows {each['dead']:7,} dead {each['vacuums']:4} vacuums  HOT {hot:.0%}")
    say("violations: " + ("none" if not result["violations"] else "\n  ".join(["", *result["violations"]])))
