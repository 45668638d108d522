"""Why the filter would act: every finding with its score, threshold and reason, as a table or as JSON."""

from __future__ import annotations

import json

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from dialogue.turns import Role
from safety.filter import SafetyFilter
from safety.findings import Finding
from safety.judge import Request, judge, result
from safety.verdict import Action, SafetyVerdict

_COLOURS = {Action.ALLOW: "green", Action.SOFTEN: "yellow", Action.MASK: "cyan", Action.CRISIS: "bold magenta"}
_SHOWN = 0.3


def _findings(safety: SafetyFilter, asked: Request) -> list[tuple[Finding, Action, float]]:
    """Findings worth showing, strongest first, each with the action and the strength it must reach."""
    by_bot = asked.turn.role is Role.BOT
    policy = safety.policy.at(str(asked.so_far.key))
    found = [f for f in safety.findings(asked.turn, asked.so_far) if f.strength >= _SHOWN]
    found.sort(key=lambda finding: -finding.strength)
    return [(finding, *policy.decide(finding, by_bot=by_bot)) for finding in found]


def _policy_line(safety: SafetyFilter, category: str, by_bot: bool) -> str:
    rule = safety.policy.rules.get(category) or safety.policy.rules["unsafe"]
    side = f'said = "{rule.said}"' if by_bot else f'heard = "{rule.heard}"'
    return f'[categories.{category}] level = "{rule.level}", {side}'


def explain_json(safety: SafetyFilter, asked: Request) -> str:
    """The verdict as ``judge`` gives it, with threshold, detector, reasons and all findings."""
    verdict, by_bot = judge(safety, asked), asked.turn.role is Role.BOT
    findings = [
        {
            "category": finding.category,
            "score": round(finding.score, 4),
            "strength": round(finding.strength, 4),
            "threshold": threshold,
            "detector": finding.detector,
            "reason": finding.reason,
            "spans": [[span.start, span.end, span.kind] for span in finding.spans],
            "action": str(action),
            "policy": _policy_line(safety, finding.category, by_bot),
        }
        for finding, action, threshold in _findings(safety, asked)
    ]
    whole = result(verdict, {}) | {"threshold": verdict.threshold, "detector": verdict.detector, "findings": findings}
    return json.dumps(whole, indent=2)


def explain_table(safety: SafetyFilter, asked: Request, console: Console | None = None) -> None:
    """The same for people: the text with its findings marked, the decision, and a table."""
    console = console or Console()
    verdict, by_bot = judge(safety, asked), asked.turn.role is Role.BOT
    console.print(_marked(asked.turn.text, verdict))
    colour = _COLOURS.get(verdict.action, "red")
    what = f" for {verdict.category}" if verdict.category else ""
    unsafe = verdict.scores.get("unsafe", 0.0)
    console.print(f"[{colour}]{verdict.action}[/{colour}]{what} (unsafe {unsafe:.2f})")
    table = Table("category", "score", "strength", "acts from", "detector", "action")
    table.add_column("why", overflow="fold")
    for finding, action, threshold in _findings(safety, asked):
        numbers = (f"{finding.score:.2f}", f"{finding.strength:.2f}", f"{threshold:.2f}")
        why = f"{escape(finding.reason)}\n[dim]{escape(_policy_line(safety, finding.category, by_bot))}[/dim]"
        table.add_row(finding.category, *numbers, finding.detector, str(action), why)
    if table.row_count:
        console.print(table)


def _marked(text: str, verdict: SafetyVerdict) -> Text:
    shown = Text(text.encode("utf-8", "replace").decode("utf-8"))
    for span in verdict.spans:
        shown.stylize("bold red" if span.kind.startswith("lexicon") else "bold cyan", span.start, span.end)
    return shown
