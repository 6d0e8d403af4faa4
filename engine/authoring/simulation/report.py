"""A simulation as one HTML file: figures, charts, tables and what was assumed, with nothing to load and no script.

It follows the reader's light or dark setting and prints well. The same figures give the same bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any

from engine.authoring.pictures.picture import draw
from engine.authoring.simulation.charts import Bar, Range, Series, bars, columns, ranges
from engine.authoring.simulation.figures import Simulation, span_text
from engine.authoring.simulation.page import page
from engine.authoring.simulation.people import Habit, People

_MOST_DAYS = 120  # columns; more days are put together as weeks


def as_html(it: Simulation, people: People) -> str:
    """The report of a simulation with these people."""
    title = people.type.title or it.campaign_type
    head = (
        f"{it.campaign_type} version {it.version}, simulated with {it.recipients:,} recipients "
        f"from {it.first:%-d %B %Y} to {it.last:%-d %B %Y}; seed {it.seed}, people {it.people}"
    )
    sections = [
        _cards(it),
        _section("Funnel", _funnel(it), _stage_table(it)),
        _section("How conversations ended", bars(_exit_bars(it), "Recipients by exit"), *_failures(it)),
        _section("Messages by day", _days(it)),
        _section("Busiest hours", _busiest(it), _hours(it)),
        _section(
            "Time in stage",
            _stays(it),
            "<p class=note>The dot is the median, the line ends where nine of ten have left; beside it stand both.</p>",
        ),
        _section("Held back and cancelled", _held_back(it)),
        _section("Messages", _messages(it)),
        _section("Messages for each recipient", _per_recipient(it)),
        *_others(it),
        _section("The campaign type", _picture(people)),
        _section("What was assumed", _assumptions(people), _notes(it)),
    ]
    return page(f"Simulation: {title}", head, "\n".join(sections))


def _section(title: str, *parts: str) -> str:
    return "\n".join([f"<section><h2>{escape(title)}</h2>", *parts, "</section>"])


def _cards(it: Simulation) -> str:
    outcomes = [(name, f"{it.share(number):.1%}", f"{number:,} recipients") for name, number in it.outcomes.items()]
    cards = [
        *outcomes,
        ("answered", f"{it.share(it.answering):.1%}", f"{it.answers:,} answers"),
        ("messages", f"{it.sent:,}", f"{it.sent / it.recipients:.2f} each"),
        ("median duration", span_text(it.duration.median), f"longest {span_text(it.duration.longest)}"),
    ]
    shown = (
        f'<div class="card {name.split()[0]}"><dt>{escape(name)}</dt><dd>{value}</dd>'
        f"<dd><small>{escape(more)}</small></dd></div>"
        for name, value, more in cards
    )
    return f"<dl class=cards>{''.join(shown)}</dl>"


def _funnel(it: Simulation) -> str:
    rows = [Bar(each.name, each.reached, _of_all(it, each.reached)) for each in it.stages]
    return bars(rows, "Recipients who reached each stage")


def _of_all(it: Simulation, number: int) -> str:
    return f"{number:,} ({it.share(number):.1%})"


def _exit_bars(it: Simulation) -> list[Bar]:
    rows = [Bar(each.name, each.count, _of_all(it, each.count), each.outcome) for each in it.exits]
    rest = (("under way", it.under_way), ("failed", it.failed))
    return rows + [Bar(name, number, _of_all(it, number), "other") for name, number in rest if number]


def _failures(it: Simulation) -> Iterator[str]:
    if it.failures:
        rows = [(message, f"{number:,}") for message, number in it.failures.items()]
        yield _table(("why conversations failed", "recipients"), rows)


def _stage_table(it: Simulation) -> str:
    rows = [
        (
            each.name, f"{each.reached:,}", f"{it.share(each.reached):.1%}", f"{each.entered:,}",
            f"{each.entered - each.left:,}", f"{each.messages:,}", f"{each.answers:,}",
            span_text(each.stay.median), span_text(each.stay.p90),
        )
        for each in it.stages
    ]  # fmt: skip
    names = (
        "stage",
        "reached",
        "share",
        "entered",
        "still there",
        "messages",
        "answers",
        "median stay",
        "9 of 10 within",
    )
    entered, left, messages, answers = (
        sum(getattr(each, name) for each in it.stages) for name in ("entered", "left", "messages", "answers")
    )
    if it.sent > messages or it.answers > answers:
        after = (f"{it.sent - messages:,}", f"{it.answers - answers:,}")
        rows.append(("after the end", "", "", "", "", *after, "", ""))
    total = ("all", "", "", f"{entered:,}", f"{entered - left:,}", f"{it.sent:,}", f"{it.answers:,}", "", "")
    return _table(names, rows, total)


def _days(it: Simulation) -> str:
    """Messages and answers by day, or by week when there are very many days."""
    if not it.days:
        return "<p>No message left.</p>"
    every = [*it.days, *it.answer_days]
    first, last = min(every), max(every)
    length = 1 if (last - first).days < _MOST_DAYS else 7 * ((last - first).days // (7 * _MOST_DAYS) + 1)
    starts = [first + timedelta(days=step) for step in range(0, (last - first).days + 1, length)]
    series = [
        Series("messages", "sent", _by(starts, it.days, length)),
        Series("answers", "answers", _by(starts, it.answer_days, length)),
    ]
    labels = [f"{day:%-d %b}" for day in starts]
    what = "day" if length == 1 else f"{length} days"
    chart = columns(series, labels, f"Messages and answers by {what}", every=max(len(starts) // 10, 1))
    most = max(it.days.items(), key=lambda each: (each[1], -each[0].toordinal()))
    told = f"<p>Most messages on {most[0]:%A, %-d %B %Y}: {most[1]:,}.</p>"
    return f"{told}{_legend(('sent', 'messages'), ('answers', 'answers'))}{chart}"


def _by(starts: Sequence[date], numbers: Any, length: int) -> list[int]:
    found = [0] * len(starts)
    for day, number in numbers.items():
        found[(day - starts[0]).days // length] += number
    return found


def _busiest(it: Simulation) -> str:
    if it.busiest is None:
        return ""
    hour, number = it.busiest
    return (
        f"<p>The busiest hour of all began {hour:%A, %-d %B %Y, %H:%M} UTC, with {number:,} messages "
        f"({number / 3600:.2f} a second). Below, all days together.</p>"
    )


def _hours(it: Simulation) -> str:
    series = [Series("messages, UTC", "sent", it.hours), Series("messages, local time", "local", it.local_hours)]
    chart = columns(series, [f"{hour:02}" for hour in range(24)], "Messages by hour of the day", every=2)
    return _legend(("sent", "hour in UTC"), ("local", "hour by the recipient's clock")) + chart


def _stays(it: Simulation) -> str:
    rows = [
        Range(
            each.name, each.stay.median or 0, each.stay.p90 or 0,
            f"{span_text(each.stay.median)}, {span_text(each.stay.p90)}",
        )
        for each in it.stages
        if each.stay.number
    ]  # fmt: skip
    return ranges(rows, "Time in each stage")


def _held_back(it: Simulation) -> str:
    rows = [
        ("by send windows", f"{it.windows.count:,}", span_text(it.windows.average)),
        ("by limits", f"{it.limits.count:,}", span_text(it.limits.average)),
        ("cancelled before they left", f"{it.cancelled:,}", "-"),
    ]
    return _table(("messages", "number", "average delay"), rows)


def _messages(it: Simulation) -> str:
    rows = [(name, f"{number:,}", f"{it.share(number):.2f}") for name, number in it.messages.items()]
    return _table(("message", "sent", "for each recipient"), rows, ("all", f"{it.sent:,}", f"{it.share(it.sent):.2f}"))


def _per_recipient(it: Simulation) -> str:
    if not it.per_recipient:
        return ""
    most = max(it.per_recipient)
    numbers = [it.per_recipient.get(number, 0) for number in range(most + 1)]
    labels = [str(number) for number in range(most + 1)]
    told = f"<p>{it.sent / it.recipients:.2f} on average, at most {most}.</p>"
    return told + columns(
        [Series("recipients", "sent", numbers)], labels, "Recipients by messages", every=most // 20 + 1
    )


def _others(it: Simulation) -> Iterator[str]:
    """Assignments and events, if there were any."""
    kinds = (("assigned to", it.assigned), ("emitted for other systems", it.emitted), ("events received", it.events))
    tables = [
        _table((what, "times"), [(name, f"{n:,}") for name, n in found.items()]) for what, found in kinds if found
    ]
    if tables:
        yield _section("Assigned, emitted, received", *tables)


def _picture(people: People) -> str:
    """The campaign type, drawn; as an image, so that its styles and those of the page keep apart."""
    drawn = b64encode(draw(people.type).encode()).decode()
    return f'<img alt="Stages, edges and exits of {people.type.campaign_type}" src="data:image/svg+xml;base64,{drawn}">'


def _assumptions(people: People) -> str:
    """What people were taken to do, message by message and stage by stage."""
    rows = [(f"message {name}", *_habit(habit)) for name, habit in people.messages.items()]
    rows += [(f"stage {name}", *_habit(habit)) for name, habit in people.asked_in_stages().items()]
    names = ("of", "answered", "after (median)", "with words such as")
    places = ", ".join(dict.fromkeys(place.timezone for place in people.places))
    begin = f"{people.spec.per_day:,} a day" if people.spec.per_day else "all at once"
    awake = people.spec.awake
    hours = f"{awake.from_:%H:%M} and {awake.to:%H:%M}"
    told = f"Enrolled {begin}. They live in {places} and answer between {hours} by their own clocks."
    return f"<p>{escape(told)}</p>" + _table(names, rows, plain=(0, 3))


def _habit(habit: Habit) -> tuple[str, str, str]:
    sayings = sorted(habit.sayings[""], key=lambda saying: -saying.weight)[:4]
    words = " · ".join(saying.texts[0] for saying in sayings)
    return f"{habit.spec.answer:.0%}", str(habit.spec.after), words if habit.spec.answer else ""


def _notes(it: Simulation) -> str:
    return f"<ul class=note>{''.join(f'<li>{escape(note)}</li>' for note in it.notes)}</ul>"


def _legend(*entries: tuple[str, str]) -> str:
    return f"<p class=legend>{''.join(f'<span class={style}>{escape(text)}</span>' for style, text in entries)}</p>"


def _table(
    names: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str] = (), plain: Sequence[int] = (0,)
) -> str:
    """A table whose columns hold numbers, but for the `plain` ones."""

    def row(cells: Sequence[str], tag: str) -> str:
        shown = (
            f"<{tag}{'' if index in plain else ' class=n'}>{escape(cell)}</{tag}>" for index, cell in enumerate(cells)
        )
        return f"<tr>{''.join(shown)}</tr>"

    body = "".join(row(each, "td") for each in rows)
    foot = f"<tfoot>{row(total, 'td')}</tfoot>" if total else ""
    return f"<div class=wide><table><thead>{row(names, 'th')}</thead><tbody>{body}</tbody>{foot}</table></div>"
