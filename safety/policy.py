"""Decisions: findings in, a verdict out, by a table a person can read (policy.toml). Detects nothing itself."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from dialogue.errors import UnknownName, UserError
from safety.findings import Finding
from safety.verdict import Action, SafetyVerdict

SHIPPED = Path(__file__).parent / "policy.toml"
LEVELS = ("off", "low", "medium", "high")
# What no policy can switch off, by side: the category acts at least at this level, with at least this action.
_ALWAYS_HEARD = {
    "sexual_minors": Action.REFUSE, "selfharm": Action.CRISIS, "in_danger": Action.CRISIS, "emergency": Action.CRISIS,
    "mentions": Action.IGNORE,
}  # fmt: skip
_HALVED = frozenset({"lexicon", "personal_data", "flooding"})
_ALWAYS_SAID = {"sexual_minors": Action.NEXT, "selfharm": Action.NEXT, "mentions": Action.NEXT, "pii": Action.NEXT}


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done about one category."""

    level: str
    heard: Action
    said: Action
    soften_below: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Overrides for the conversations whose "door:place" matches a pattern."""

    match: str
    levels: Mapping[str, str] = field(default_factory=dict)
    age_gated: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy. ``strengths`` says from which strength a level acts."""

    rules: Mapping[str, Rule]
    strengths: Mapping[str, float]
    allow_words: frozenset[str] = frozenset()
    deny_words: frozenset[str] = frozenset()
    places: tuple[Place, ...] = ()

    def at(self, place: str) -> Policy:
        """The policy that holds at "door:place"."""
        here = self
        for override in self.places:
            if fnmatchcase(place, override.match):
                here = here.with_levels(override.levels)
                here = here.with_levels({"sexual": "off"}) if override.age_gated else here
        return here

    def with_levels(self, levels: Mapping[str, str]) -> Policy:
        """The same policy with other levels. Raises UnknownName for a category or level that does not exist."""
        rules = dict(self.rules)
        for category, level in levels.items():
            if category not in rules:
                raise UnknownName("safety category", category, rules)
            rules[category] = replace(rules[category], level=_level(level))
        return replace(self, rules=rules)

    def decide(self, finding: Finding, *, by_bot: bool) -> tuple[Action, float]:
        """The action for one finding, and the strength from which its category acts."""
        rule = self.rules.get(finding.category) or self.rules["unsafe"]
        always = (_ALWAYS_SAID if by_bot else _ALWAYS_HEARD).get(finding.category)
        level = "medium" if always and rule.level in ("off", "low") else rule.level
        if level == "off":
            return Action.ALLOW, 1.0
        threshold = self.strengths[level]
        if finding.strength < threshold:
            return Action.ALLOW, threshold
        action = rule.said if by_bot else rule.heard
        if always is not None:
            return max(action, always), threshold
        if not by_bot and finding.strength < rule.soften_below:
            action = min(action, Action.SOFTEN)
        return action, threshold

    def _silenced(self, finding: Finding) -> bool:
        """Whether this would count, were its category not switched off: then the overall score must not act for it."""
        rule = self.rules.get(finding.category)
        return rule is not None and rule.level == "off" and finding.category != "sensitive" and finding.strength >= 0.5

    def verdict(self, findings: Iterable[Finding], *, by_bot: bool) -> SafetyVerdict:
        """All findings in one verdict: the strictest action, and among equals the strongest finding, give the reason.

        ``scores["unsafe"]`` is the learned overall score, raised by what rules are sure of.
        """
        best: tuple[int, float, Finding | None, float] = (0, -1.0, None, 0.0)
        scores: dict[str, float] = {}
        all_findings = list(findings)
        silenced = any(self._silenced(finding) for finding in all_findings)
        for finding in all_findings:
            scores[finding.category] = max(scores.get(finding.category, 0.0), finding.score)
            scores["unsafe"] = max(scores.get("unsafe", 0.0), _overall(finding))
            if silenced and finding.category == "unsafe":
                continue
            action, threshold = self.decide(finding, by_bot=by_bot)
            if action > Action.ALLOW and (action, finding.strength) > best[:2]:
                best = (action, finding.strength, finding, threshold)
        spans = tuple(sorted({span for finding in all_findings for span in finding.spans}))
        reasons = tuple(sorted({f.reason for f in all_findings if f.reason}))
        _, _, chosen, threshold = best
        if chosen is None:
            return SafetyVerdict(scores=scores, spans=spans, reasons=reasons)
        return SafetyVerdict(Action(best[0]), chosen.category, scores, threshold, chosen.detector, spans, reasons)


def _overall(finding: Finding) -> float:
    """What a finding adds to the overall score. Words that are rude everywhere and harmful only somewhere are left to
    the learned model, which has them among its features; other word rules, personal data and flooding count by half:
    they are acted upon, but say less about how bad a text is.
    """
    if finding.category == "unsafe":
        return finding.score
    if finding.detector.startswith("linear"):
        return 0.0
    if finding.detector == "lexicon" and finding.category in ("offensive", "hate", "sexual"):
        return 0.0
    halved = finding.detector in _HALVED and finding.category != "sexual_minors"
    return finding.score / 2 if halved else finding.score


def _level(name: object) -> str:
    if name not in LEVELS:
        raise UnknownName("safety level", str(name), LEVELS)
    return str(name)


def _action(name: object) -> Action:
    try:
        return Action[str(name).upper()]
    except KeyError:
        raise UnknownName("safety action", str(name), [str(action) for action in Action]) from None


def _rule(entry: Mapping[str, Any]) -> Rule:
    return Rule(
        _level(entry.get("level", "medium")),
        _action(entry.get("heard", "allow")),
        _action(entry.get("said", "allow")),
        float(entry.get("soften_below", 0.0)),
    )


def _place(entry: Mapping[str, Any], rules: Mapping[str, Rule]) -> Place:
    levels = {category: _level(level) for category, level in entry.get("levels", {}).items()}
    for category in levels:
        if category not in rules:
            raise UnknownName("safety category", category, rules)
    return Place(str(entry["match"]), levels, bool(entry.get("age_gated", False)))


def _policy(data: Mapping[str, Any], base: Policy | None) -> Policy:
    rules = dict(base.rules) if base else {}
    rules |= {category: _rule(entry) for category, entry in data.get("categories", {}).items()}
    strengths = dict(base.strengths) if base else {}
    strengths |= {_level(name): float(strength) for name, strength in data.get("levels", {}).items()}
    words = data.get("words", {})
    return Policy(
        rules,
        strengths,
        frozenset(word.lower() for word in words.get("allow", [])),
        frozenset(word.lower() for word in words.get("deny", [])),
        tuple(_place(entry, rules) for entry in data.get("places", [])),
    )


@cache
def shipped_policy() -> Policy:
    """The policy that comes with the program."""
    return _policy(tomllib.loads(SHIPPED.read_text(encoding="utf-8")), None)


def load_policy(path: Path | None = None) -> Policy:
    """A policy file laid over the shipped policy; the shipped one for None. Raises UserError naming the file at
    fault."""
    if path is None:
        return shipped_policy()
    try:
        return _policy(tomllib.loads(path.read_text(encoding="utf-8")), shipped_policy())
    except OSError as error:
        raise UserError(f"The safety policy {path} cannot be read: {error.strerror or error}.") from error
    except UserError as error:
        raise UserError(f"The safety policy {path} has a mistake: {error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"The safety policy {path} is not a valid policy file: {error}.") from error
