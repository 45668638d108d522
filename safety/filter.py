"""May it be said? The filter of a conversation: runs the detectors and lets the policy decide.

Stateless apart from failure counts, safe to use from several threads, and free of torch. A detector that fails is
counted; what a person says is then judged by the others, what the bot would say gives way to a safe line.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dialogue.turns import Conversation, Turn
from safety.detectors import discover
from safety.detectors.personal_data import mask_text
from safety.findings import Detector, Finding
from safety.passage import Passage
from safety.policy import Policy, load_policy
from safety.verdict import Action, SafetyVerdict

log = logging.getLogger(__name__)


class SafetyFilter:
    """Judges both sides of a conversation. After ``budget_s`` of this thread's own work later detectors are skipped.

    Work, not time: on a machine that is busy with something else every detector still gets its turn.
    """

    def __init__(self, detectors: Sequence[Detector], policy: Policy, *, budget_s: float = 5.0) -> None:
        self.detectors = tuple(detectors)
        self.policy = policy
        self.failures: Counter[str] = Counter()
        self._budget_s = budget_s
        self._lock = threading.Lock()

    def hear(self, turn: Turn, so_far: Conversation) -> SafetyVerdict:
        """What to do with a message of a person, given the turns before it."""
        findings, _ = self._findings(Passage(turn, so_far))
        return self.policy.at(str(so_far.key)).verdict(findings, by_bot=False)

    def say(self, turn: Turn, so_far: Conversation) -> SafetyVerdict:
        """What to do with a reply of the bot, given what it answers. When a detector fails, not to say it."""
        findings, failed = self._findings(Passage(turn, so_far))
        verdict = self.policy.at(str(so_far.key)).verdict(findings, by_bot=True)
        if not failed:
            return verdict
        safe_line = SafetyVerdict(Action.REPLACE, "failure", detector=failed[0], reasons=("a detector failed",))
        return verdict.stricter(safe_line)

    def findings(self, turn: Turn, so_far: Conversation) -> list[Finding]:
        """Everything the detectors report, weak findings included: for explaining and measuring."""
        return self._findings(Passage(turn, so_far))[0]

    def mask(self, text: str) -> str:
        """The text with personal data replaced by its kind in brackets, for storing and showing."""
        return mask_text(text)

    def _findings(self, passage: Passage) -> tuple[list[Finding], list[str]]:
        found: list[Finding] = []
        failed: list[str] = []
        end = time.thread_time() + self._budget_s
        for detector in self.detectors:
            if time.thread_time() > end:
                failed.append(detector.name)
                self._count(detector.name, "skipped: out of time")
                continue
            try:
                found.extend(detector.find(passage))
            except Exception as error:  # a detector may be anybody's file; the failure is counted and acted upon
                failed.append(detector.name)
                self._count(detector.name, type(error).__name__)
        return found, failed

    def _count(self, name: str, why: str) -> None:
        with self._lock:
            self.failures[name] += 1
        log.warning("safety detector %s failed: %s", name, why)  # the kind of failure only: messages may quote text


def load_filter(
    policy: Path | Policy | None = None, *, levels: Mapping[str, str] | None = None, encoder: bool = False
) -> SafetyFilter:
    """The filter with every detector in safety/detectors, under a policy file, or the shipped one for None.

    ``levels`` overrides the policy's level by category; ``encoder`` adds the optional pair encoder.
    Raises UserError for a policy that cannot be read, UnknownName for a wrong category or level.
    """
    chosen = policy if isinstance(policy, Policy) else load_policy(policy)
    return SafetyFilter(discover(encoder=encoder, policy=chosen), chosen.with_levels(levels or {}))
