"""What the pages show, as plain values: bubbles, buttons, tables. No Streamlit and no database in here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.console.words import say
from eval.ssa.pairwise import Duel, Strength
from eval.ssa.planning import Plan
from eval.ssa.protocol import Answer, answer_of
from eval.ssa.quality import RaterQuality
from eval.ssa.questions import PAIR_QUESTIONS, QUESTIONS, SENSIBLE, SPECIFIC, Question
from eval.ssa.results import Gap, Results
from eval.ssa.statistics import Estimate
from eval.ssa.studies import StudySettings
from eval.ssa.tasks import Line, Task
from eval.ssa.transcripts import Talk


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer button: ``key`` is the key that presses it, ``labels`` what it saves."""

    key: str
    text: str
    labels: Mapping[str, int]


def question_of(task: Task) -> Question:
    """The question that is open now."""
    return PAIR_QUESTIONS[task.question] if task.question else QUESTIONS[task.open[0]]


def choices_of(open_labels: Sequence[str], language: str) -> list[Choice]:
    """The buttons for what is asked next: the three answers of SSA in one press, or yes and no."""
    if open_labels and open_labels[0] in (SENSIBLE, SPECIFIC):
        return [Choice(str(int(a)), say(f"key_{int(a)}", language), a.labels()) for a in Answer]
    label = open_labels[0]
    return [Choice("1", say("no", language), {label: 0}), Choice("2", say("yes", language), {label: 1})]


def heading(task: Task, language: str) -> str:
    """The question in words."""
    if not task.question and task.open[0] == SENSIBLE:
        return QUESTIONS[SENSIBLE].text[language] + " " + QUESTIONS[SPECIFIC].text[language]
    return question_of(task).text[language]


def bubbles(lines: Sequence[Line], language: str, *, label: str = "conversation", name: str = "") -> str:
    """A conversation as HTML: it opens at its end, scrolls by itself, and can be read out. All text is escaped."""
    body = "".join(_bubble(line, language) for line in lines)
    title = html.escape(name or say(label, language))
    return (
        f'<div class="cw-scroll" tabindex="0" role="region" aria-label="{title}"><ol class="cw-talk">{body}</ol></div>'
    )


def _bubble(line: Line, language: str) -> str:
    side = "cw-b" if line.speaker == "B" else "cw-a"
    mark = f' aria-label="{html.escape(say("reply_to_rate", language))}"' if line.rated else ""
    text = html.escape(line.text).replace("\n", "<br>")
    rated = " cw-rated" if line.rated else ""
    return f'<li class="{side}{rated}"{mark}><span class="cw-who">{html.escape(line.speaker)}</span><p>{text}</p></li>'


STYLE = """
<style>
header[data-testid=stHeader]{display:none}
.block-container{max-width:52rem;padding-top:1.4rem;padding-bottom:1rem}
button[kind=primary],button[kind=primaryFormSubmit]{background:#2f5d62!important;border-color:#4a8087!important}
button[kind=primary] *,button[kind=primaryFormSubmit] *{color:#fff!important;opacity:1!important}
.cw-scroll{display:flex;flex-direction:column-reverse;max-height:max(12rem,calc(100dvh - 410px));
 overflow-y:auto;border-radius:.8rem;
 padding:.4rem .6rem;background:color-mix(in srgb,currentColor 4%,transparent)}
.cw-scroll:focus-visible{outline:3px solid #4a9d8f}
.cw-talk{list-style:none;margin:0!important;padding:0!important;display:flex;flex-direction:column;gap:.45rem}
.cw-talk li{max-width:85%;display:flex;gap:.5rem;align-items:flex-start;margin:0!important;padding:0!important}
.cw-talk li.cw-b{align-self:flex-end;flex-direction:row-reverse}
.cw-talk p{margin:0;padding:.5rem .85rem;border-radius:1rem;line-height:1.45;overflow-wrap:anywhere;
 background:color-mix(in srgb,currentColor 8%,transparent)}
.cw-talk .cw-b p{background:color-mix(in srgb,#2f7f74 22%,transparent)}
.cw-talk .cw-rated p{outline:3px solid #3a9384;outline-offset:1px;font-weight:500}
.cw-who{font-size:.72rem;font-weight:600;opacity:.8;padding-top:.6rem;min-width:1em;text-align:center}
.cw-q{font-size:1.06rem;font-weight:600;margin:.1rem 0 0}
div:has(>.st-key-answers){position:sticky;bottom:0;z-index:5}
.st-key-answers{padding:.5rem 0 .7rem;background:Canvas}
.st-key-answers button{min-height:3.1rem}
.st-key-answers button p{font-size:1rem}
@media (max-width:640px){
 .block-container{padding:1rem .7rem}
 .cw-scroll{max-height:max(9rem,calc(100dvh - 660px))}
 .st-key-answers button{min-height:2.9rem}
 .st-key-answers{padding:.2rem 0 .3rem}
 .st-key-answers [data-testid="stHorizontalBlock"]{gap:.4rem}
}
</style>
"""
"""Neutral tones come from the text colour, so that light and dark both keep their contrast."""


def feedback(task: Task, labels: Mapping[str, int], language: str) -> tuple[bool, str]:
    """Whether a practice answer is ours, and why ours is what it is."""
    expected = task.expected or {}
    ours = answer_of(expected.get(SENSIBLE, 0), expected.get(SPECIFIC, 0))
    given = answer_of(labels.get(SENSIBLE, 0), labels.get(SPECIFIC, 0))
    verdict = say("right_answer" if ours == given else "wrong_answer", language)
    own = say(f"key_{int(ours)}", language)
    shown = say(f"key_{int(given)}", language)
    words = f"**{verdict}** {say('you_said', language)}: {shown}. {say('our_answer', language)}: **{own}**."
    return ours == given, f"{words}\n\n{task.remark}"


def instructions(kind: str, settings: StudySettings, language: str) -> str:
    """The study's own instructions, else ours; then the questions with their rules, and examples of the keys."""
    own = settings.instructions.get(language) or next(iter(settings.instructions.values()), "")
    low, high = settings.turns
    ours = {"pairwise": "how_pair", "interactive": "how_chat"}.get(kind, "how")
    parts = [own or say(ours, language, low=low, high=high)]
    shown = settings.questions if kind == "pairwise" else (SENSIBLE, SPECIFIC, *settings.extras)
    for label in shown:
        question = {**QUESTIONS, **PAIR_QUESTIONS}[label]
        parts.append(f"**{question.text[language]}** {question.help[language]}")
    if kind != "pairwise":
        parts.append(" · ".join(f"`{int(a)}` {say(f'key_{int(a)}', language)}" for a in Answer))
    parts.append(f"`u` {say('undo', language)} · `s` {say('skip', language)}")
    return "\n\n".join(parts)


def percent(value: float | None) -> str:
    """One decimal."""
    return "–" if value is None or value != value else f"{100 * value:.1f}"


def p_value(p: float) -> str:
    """Four decimals; never zero."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def interval(found: Estimate | None) -> str:
    """A rate with its interval, in per cent."""
    return "–" if found is None else f"{percent(found.mean)}  [{percent(found.low)}, {percent(found.high)}]"


def system_rows(found: Results, language: str = "en") -> list[dict[str, Any]]:
    """The main table: one row a system, both parts always beside the average."""
    return [
        {
            "system": one.system,
            f"{found.name} %": interval(one.ssa),
            "sensible %": interval(one.parts.get(SENSIBLE)),
            "specific %": interval(one.parts.get(SPECIFIC)),
            **{f"{label} %": interval(rate) for label, rate in one.others.items()},
            "replies": one.ssa.n if one.ssa else 0,
            "conversations": one.ssa.clusters if one.ssa else 0,
            "votes": one.votes,
            "design effect": f"{one.ssa.design_effect:.2f}" if one.ssa and one.ssa.clusters > 1 else "–",
        }
        for one in found.systems
    ]


def departure_lines(found: Results) -> list[str]:
    """Why this is not called SSA, by system; one line where everything was kept."""
    lines = [f"{one.system}: {line}" for one in found.systems for line in one.departures]
    return lines or (["The protocol was kept for every system."] if found.systems else [])


def raw_rows(found: Results) -> list[dict[str, Any]]:
    """Means of all votes as they were given, without majority or rule; labels of imported scales included."""
    return [{"system": one.system, **{k: round(v, 4) for k, v in one.raw.items()}} for one in found.systems]


def gap_rows(gaps: Iterable[Gap]) -> list[dict[str, Any]]:
    """Differences in points: the interval for one look at the planned size, and the one for looking at any time."""
    return [
        {
            "pair": f"{gap.first} − {gap.second}",
            "difference": percent(gap.once.difference),
            "95% if looked at once, as planned": f"[{percent(gap.once.low)}, {percent(gap.once.high)}]",
            "p": p_value(gap.once.p),
            "95% at every look": f"[{percent(gap.look.low)}, {percent(gap.look.high)}]",
            "advice": str(gap.look.advice),
        }
        for gap in gaps
    ]


def agreement_rows(found: Results) -> list[dict[str, Any]]:
    """Krippendorff's alpha by label and language."""
    return [
        {"label": label, "language": language, "alpha": str(value), "replies": value.units, "votes": value.votes}
        for (label, language), value in found.agreements.items()
        if value.votes
    ]


def rater_rows(found: Iterable[RaterQuality]) -> list[dict[str, Any]]:
    """Each rater's work; flags are questions to ask, not verdicts."""
    return [
        {
            "rater": one.rater, "kind": one.kind, "done": one.done, "skipped": one.skipped,
            "gold": f"{one.gold}/{one.gold_n}" if one.gold_n else "–",
            "median s": "–" if one.median_seconds is None else f"{one.median_seconds:.1f}",
            "with the majority %": percent(one.agreement), "flags": "; ".join(one.flags),
        }
        for one in found
    ]  # fmt: skip


def plan_rows(plans: Iterable[Plan]) -> list[dict[str, Any]]:
    """What it takes, per system."""
    return [
        {
            "raters a reply": plan.raters, "conversations": plan.conversations, "replies": plan.replies,
            "ratings": plan.clicks, "power %": percent(plan.power), "design effect": f"{plan.design_effect:.2f}",
        }
        for plan in plans
    ]  # fmt: skip


def duel_rows(duels: Iterable[Duel]) -> list[dict[str, Any]]:
    """Win rates with exact intervals and binomial tests."""
    return [
        {
            "pair": f"{one.first} against {one.second}", "won %": percent(one.rate), "of": one.n,
            "95%": f"[{percent(one.low)}, {percent(one.high)}]", "p": p_value(one.p),
        }
        for one in duels
    ]  # fmt: skip


def strength_rows(strengths: Iterable[Strength]) -> list[dict[str, Any]]:
    """Bradley-Terry strengths, strongest first."""
    return [
        {"system": one.system, "strength": f"{one.strength:+.2f}", "95%": f"[{one.low:+.2f}, {one.high:+.2f}]"}
        for one in strengths
    ]


def talk_rows(talks: Iterable[Talk]) -> list[dict[str, Any]]:
    """What an import would bring, by system and language."""
    found: dict[tuple[str, str], list[Talk]] = {}
    for talk in talks:
        found.setdefault((talk.system, talk.language), []).append(talk)
    return [
        {
            "system": system, "language": language, "conversations": len(group),
            "replies": sum(len(talk.rated) - len(talk.gold) for talk in group),
            "gold": sum(len(talk.gold) for talk in group), "votes": sum(len(talk.votes) for talk in group),
        }
        for (system, language), group in sorted(found.items())
    ]  # fmt: skip


def spoken(found: Results) -> str:
    """The chart in words, for those who hear it."""
    return "; ".join(f"{one.system}: {found.name} {interval(one.ssa)} per cent" for one in found.systems)
