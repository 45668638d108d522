"""Report pages from results: one document as Markdown and as self-contained HTML, and the same numbers as JSON.

A document is a list of blocks; what is in it is decided by those who call. Nothing is loaded from anywhere: style and
plots stand inside the page, and every text is escaped.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}
table{border-collapse:collapse;margin:1rem 0;display:block;overflow-x:auto}
th,td{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top;font-size:.9rem}
th{border-bottom:2px solid #888}h1{font-size:1.7rem}h2{margin-top:2.2rem}svg{max-width:100%;height:auto}
blockquote{border-left:3px solid #888;margin-left:0;padding-left:1rem}
@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}th,td{border-color:#555}svg{background:#fff}}
"""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of the second level."""

    words: str


@dataclass(frozen=True, slots=True)
class Table:
    """Column names and rows of texts."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plot:
    """SVG text, and what it shows in words for those who do not see it (and for Markdown)."""

    svg: str
    words: str


@dataclass(frozen=True, slots=True)
class Talk:
    """Turns said, with who said them: an example to read."""

    title: str
    turns: Sequence[tuple[str, str]]


Block = Text | Heading | Table | Plot | Talk


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: enough digits, none too many, a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or 0.001 <= abs(value) < 100:
        return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.{max(digits - 1, 1)}f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.2g}"


def with_interval(estimate: Mapping[str, Any]) -> str:
    """ "0.412 [0.380, 0.441]" of a value with its low and high end."""
    return f"{number(estimate['value'])} [{number(estimate['low'])}, {number(estimate['high'])}]"


def markdown(title: str, blocks: Sequence[Block], name: str = "report") -> str:
    """The document as Markdown; plots are pictures ``NAME-1.svg`` and so on beside it."""
    plots = [block for block in blocks if isinstance(block, Plot)]
    said = [_picture(block, plots.index(block), name) if isinstance(block, Plot) else _markdown(block)
            for block in blocks]  # fmt: skip
    return f"# {title}\n\n" + "\n\n".join(said) + "\n"


def _picture(plot: Plot, place: int, name: str) -> str:
    return f"![{_line(plot.words)}]({name}-{place + 1}.svg)"


def _markdown(block: Text | Heading | Table | Talk) -> str:
    match block:
        case Text(words):
            return words
        case Heading(words):
            return f"## {words}"
        case Talk(title, turns):
            said = "\n".join(f"> **{who}**: {_line(text)}  " for who, text in turns)
            return f"**{title}**\n\n{said}"
        case Table():
            return markdown_table(block)


def markdown_table(table: Table) -> str:
    """A table as Markdown's pipes."""
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join("| " + " | ".join(_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _line(text: str) -> str:
    return " ".join(text.split())


def page(title: str, blocks: Sequence[Block]) -> str:
    """The document as one HTML page that needs nothing else."""
    inside = "\n".join(_html(block) for block in blocks)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>\n{inside}\n</body></html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Text(words):
            return f"<p>{html.escape(words)}</p>"
        case Heading(words):
            return f"<h2>{html.escape(words)}</h2>"
        case Plot(svg, words):
            said = html.escape(words)
            return f'<figure role="img" aria-label="{said}">{svg}<figcaption>{said}</figcaption></figure>'
        case Talk(title, turns):
            lines = "<br>".join(f"<b>{html.escape(who)}</b>: {html.escape(text)}" for who, text in turns)
            return f"<p><b>{html.escape(title)}</b></p><blockquote>{lines}</blockquote>"
        case Table(columns, rows):
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in columns)
            body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
            return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def origin(provenance: Mapping[str, Any], more: Sequence[Sequence[str]] = ()) -> list[Block]:
    """The last section of a report: where its numbers come from."""
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    commit = f"{provenance['commit'][:12] or 'unknown'}{' with local changes' if provenance['dirty'] else ''}"
    rows = [["commit", commit], ["versions", f"Python {provenance['python']}, {versions}"],
            ["machine", provenance["machine"]], ["finished", provenance["finished"]], *more]  # fmt: skip
    return [Heading("Provenance"), Table(["what", "value"], rows)]


def write_report(folder: Path, name: str, title: str, data: Mapping[str, Any], blocks: Sequence[Block]) -> None:
    """``NAME.json``, ``NAME.md`` with its pictures, and ``NAME.html`` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    for place, plot in enumerate(block for block in blocks if isinstance(block, Plot)):
        (folder / f"{name}-{place + 1}.svg").write_text(plot.svg, encoding="utf-8")
    for suffix, text in (("json", plain), ("md", markdown(title, blocks, name)), ("html", page(title, blocks))):
        (folder / f"{name}.{suffix}").write_text(text, encoding="utf-8")
