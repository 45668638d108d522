"""Explains a reply: its candidates with their log-probabilities, the rules that dropped some, the time it took."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from bot.exchange import Reply, Source
from dialogue.candidates import Candidate

_SOURCES = {
    Source.MODEL: "The first candidate, in this order, that no rule dropped was said.",
    Source.DEFLECTION: "The message itself was not answered: safety found {category} in it.",
    Source.CRISIS: "The message may come from a person at risk, so help was offered in place of chat.",
    Source.FALLBACK: "No candidate could be said, so a canned line was.",
    Source.LANGUAGE: "The message is in a language that the model does not speak.",
}

_SAID_OTHERWISE = {"mean_log_prob", "length", "log_prob_alone"}
"""Features that other columns hold already, in another form."""


def explain(reply: Reply) -> Group:
    """The whole story of a reply as a table and a few lines."""
    category = reply.verdict_in.category or reply.verdict_out.category or "nothing"
    seconds = " · ".join(f"{stage} {value:.2f} s" for stage, value in reply.seconds.items())
    lines = [Text(_SOURCES[reply.source].format(category=category)), Text(seconds, style="dim")]
    return Group(*([_table(reply.candidates)] if reply.candidates else []), *lines)


def _table(candidates: tuple[Candidate, ...]) -> Table:
    features = sorted({name for candidate in candidates for name in candidate.features} - _SAID_OTHERWISE)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("", "candidate", "log p", "score", *(name.replace("_", " ") for name in features), "dropped by"):
        table.add_column(heading, ratio=6 if heading == "candidate" else None)
    said = False
    for candidate in candidates:
        wins = not said and candidate.dropped_by is None
        said = said or wins
        hypothesis = candidate.hypothesis
        numbers = [f"{hypothesis.log_prob:.2f}", f"{hypothesis.score:.3f}"]
        numbers += [f"{candidate.features[name]:.2f}" if name in candidate.features else "" for name in features]
        mark = "▸" if wins else ""
        table.add_row(mark, Text(candidate.text), *numbers, candidate.dropped_by or "", style="bold" if wins else None)
    return table
