"""The page around a report: one HTML file with its styles inside, for light and dark screens and for paper."""

from __future__ import annotations

from html import escape
from string import Template

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>
:root {
  --paper: #f6f7f9; --card: #fff; --ink: #1c2430; --soft: #5b6675; --line: #dfe3e9;
  --stage: #3b6fd4; --sent: #3b6fd4; --answers: #7a5bd0; --local: #7ba37b;
  --won: #2f8f5b; --lost: #c2554d; --stopped: #b7841f; --other: #7d8795;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181e; --card: #1c222b; --ink: #e6eaf0; --soft: #9aa6b5; --line: #323b47;
    --stage: #6f9bf0; --sent: #6f9bf0; --answers: #a58cf0; --local: #8fbf8f;
    --won: #57b882; --lost: #e07f77; --stopped: #dfb050; --other: #98a3b1;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif;
}
main { max-width: 900px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; }
h2 { font-size: 17px; margin: 0 0 14px; }
p { margin: 0 0 12px; }
.lead { color: var(--soft); margin-bottom: 24px; }
section {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px;
  margin: 0 0 18px;
}
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(128px, 1fr)); gap: 12px; margin: 0 0 18px; }
.card {
  background: var(--card); border: 1px solid var(--line); border-top: 3px solid var(--stage);
  border-radius: 8px; padding: 12px 14px;
}
.card.won { border-top-color: var(--won); } .card.lost { border-top-color: var(--lost); }
.card.stopped { border-top-color: var(--stopped); } .card.answered { border-top-color: var(--answers); }
.card.failed, .card.under { border-top-color: var(--other); }
.card dt { color: var(--soft); font-size: 13px; }
.card dd { margin: 0; font-size: 23px; font-weight: 600; font-variant-numeric: tabular-nums; }
.card dd + dd { font-size: 12px; font-weight: 400; color: var(--soft); }
.wide { overflow-x: auto; margin-top: 14px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 500; font-size: 13px; white-space: nowrap; vertical-align: bottom; }
.n { text-align: right; white-space: nowrap; } tr > :last-child { padding-right: 0; }
tfoot td { font-weight: 600; border-bottom: 0; }
tbody:last-child tr:last-child td { border-bottom: 0; }
svg { display: block; width: 100%; height: auto; }
section > svg text { fill: var(--ink); font-size: 12.5px; font-variant-numeric: tabular-nums; }
section > svg text.axis { fill: var(--soft); font-size: 11px; } section > svg text.value { fill: var(--soft); }
.grid { stroke: var(--line); }
.range { stroke: var(--stage); stroke-width: 6; stroke-opacity: .35; stroke-linecap: round; }
.middle { fill: var(--stage); }
.legend span { margin-right: 18px; color: var(--soft); font-size: 13px; }
.legend span::before {
  content: ""; display: inline-block; width: 11px; height: 11px; border-radius: 2px;
  margin-right: 6px; background: currentColor;
}
$colours
img { display: block; max-width: 100%; margin: 0 auto; }
.note { color: var(--soft); font-size: 13px; } ul.note { padding-left: 18px; margin: 14px 0 0; }
@media print { body { background: none; } section, .card { break-inside: avoid; border-color: #ccc; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="lead">$lead</p>
$body
</main>
</body>
</html>
""")
_COLOURS = ("stage", "sent", "answers", "local", "won", "lost", "stopped", "other")


def page(title: str, lead: str, body: str) -> str:
    """A whole page; `body` is HTML, `title` and `lead` are texts.

    >>> "<h1>Less &lt; more</h1>" in page("Less < more", "", "")
    True
    """
    colours = "\n".join(
        f"rect.{name} {{ fill: var(--{name}); }} .legend .{name}::before {{ color: var(--{name}); }}"
        for name in _COLOURS
    )
    return _PAGE.substitute(title=escape(title), lead=escape(lead), body=body, colours=colours)
