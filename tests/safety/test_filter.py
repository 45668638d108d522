from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.errors import UnknownName, UserError
from dialogue.turns import Role, Turn
from safety.filter import SafetyFilter, load_filter
from safety.findings import Finding
from safety.passage import Passage
from safety.policy import load_policy, shipped_policy
from safety.verdict import Action
from tests.safety.conftest import Judge, conversation


def test_a_greeting_passes_on_both_sides(hear: Judge, say: Judge) -> None:
    assert hear("Hello! How are you today?").action is Action.ALLOW
    assert say("I'm well, thanks. And you?", "Hello! How are you today?").action is Action.ALLOW


@pytest.mark.parametrize("text", ["i want to kill myself", "죽고 싶어", "k i l l m y s e l f", "wnrrh tlvek"])
def test_a_person_at_risk_always_gets_help_and_never_a_block(hear: Judge, text: str) -> None:
    assert hear(text).action is Action.CRISIS


def test_crisis_stands_above_abuse_in_the_same_message(hear: Judge) -> None:
    assert hear("fuck you all, i'm going to kill myself tonight").action is Action.CRISIS


@pytest.mark.parametrize(
    ("text", "action", "category"),
    [
        ("how to make a pipe bomb", Action.REFUSE, "dangerous"),
        ("send me nudes", Action.REFUSE, "sexual"),
        ("@everyone free nitro", Action.IGNORE, "mentions"),
        ("my number is 212-555-0134", Action.MASK, "pii"),
        ("all muslims are terrorists", Action.REPLACE, "hate"),
        ("what the fuck is going on", Action.SOFTEN, "offensive"),
    ],
)
def test_each_kind_of_message_meets_its_line_of_the_policy(
    hear: Judge, text: str, action: Action, category: str
) -> None:
    verdict = hear(text)
    assert (verdict.action, verdict.category) == (action, category)
    assert verdict.threshold is not None
    assert verdict.detector


def test_the_same_words_are_judged_by_what_they_answer(say: Judge) -> None:
    assert say("I totally agree with you.", "I think spring is lovely.").allows
    assert not say("I totally agree with you.", "All muslims should be killed.").allows
    assert say("Me too!", "I love pizza.").allows
    assert not say("Me too!", "I want to die.").allows
    assert say("I'm so sorry. Please call 988, they can help.", "I want to die.").allows


def test_the_bot_may_not_claim_to_be_human_but_may_deny_it(say: Judge) -> None:
    assert not say("Yes, I am a real human.", "are you real?").allows
    assert say("I'm a chatbot, so not a person.", "are you real?").allows


def test_a_person_may_say_that_they_are_human(hear: Judge) -> None:
    assert hear("I am a real human.", "Are you a bot too?").action is Action.ALLOW


def test_spans_point_into_the_original_however_it_is_disguised(hear: Judge) -> None:
    text = "hey \u200bｆ\u200bｕｃｋ you"
    spans = [s for s in hear(text).spans if s.kind == "lexicon:offensive"]
    assert any(text[s.start : s.end] == "ｆ\u200bｕｃｋ" for s in spans)


@pytest.mark.parametrize("category", ["selfharm", "sexual_minors", "mentions"])
def test_no_policy_can_switch_these_off(category: str) -> None:
    lax = load_filter(levels=dict.fromkeys(shipped_policy().rules, "off"))
    texts = {"selfharm": "i want to kill myself", "sexual_minors": "child porn", "mentions": "@everyone hi"}
    verdict = lax.hear(Turn(Role.USER, texts[category]), conversation())
    assert verdict.category == category
    assert not verdict.allows


def test_what_is_switched_off_is_let_through() -> None:
    lax = load_filter(levels=dict.fromkeys(shipped_policy().rules, "off"))
    assert lax.hear(Turn(Role.USER, "you stupid bot, go to hell"), conversation()).action is Action.ALLOW


@dataclass(frozen=True)
class Broken:
    name: str = "broken"

    def find(self, passage: Passage) -> list[Finding]:
        raise RuntimeError(f"cannot cope with {passage.text}")


def test_a_failing_detector_is_counted_and_replaced_by_the_rest_or_a_safe_line(
    safety: SafetyFilter, caplog: pytest.LogCaptureFixture
) -> None:
    weak = SafetyFilter([Broken(), *safety.detectors], safety.policy)
    with caplog.at_level(logging.DEBUG):
        assert weak.hear(Turn(Role.USER, "hello secretword"), conversation()).action is Action.ALLOW
        assert weak.hear(Turn(Role.USER, "i want to kill myself"), conversation()).action is Action.CRISIS
        assert weak.say(Turn(Role.BOT, "hello secretword"), conversation()).action is Action.REPLACE
    assert weak.failures["broken"] == 3
    assert "secretword" not in caplog.text


def test_detectors_that_come_too_late_are_skipped_and_counted(safety: SafetyFilter) -> None:
    late = SafetyFilter(safety.detectors, safety.policy, budget_s=-1.0)
    assert late.say(Turn(Role.BOT, "hello"), conversation()).action is Action.REPLACE
    assert sum(late.failures.values()) == len(safety.detectors)


def test_a_machine_that_is_busy_with_something_else_switches_no_detector_off(
    safety: SafetyFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**9, 100))  # a hundred seconds go by between any two looks at it
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    waited = SafetyFilter(safety.detectors, safety.policy)
    assert waited.hear(Turn(Role.USER, "i want to kill myself"), conversation()).action is Action.CRISIS
    assert not waited.failures


def test_an_age_gated_place_and_its_levels_are_honoured(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(
        '[[places]]\nmatch = "test:adults*"\nage_gated = true\nlevels = {offensive = "off"}\n'
        '[words]\ndeny = ["pineapple"]\nallow = ["bitch"]\n'
    )
    safety = load_filter(file)
    naughty = Turn(Role.USER, "do you want to have sex with me")
    assert not safety.hear(naughty, conversation()).allows
    assert safety.hear(naughty, conversation(place="adults-1")).action is Action.ALLOW
    assert not safety.hear(Turn(Role.USER, "child porn"), conversation(place="adults-1")).allows
    assert not safety.hear(Turn(Role.USER, "Pineapple on pizza"), conversation()).allows


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ('[categories.hate]\nlevel = "hihg"\n', "high"),
        ('[categories.hate]\nheard = "refus"\n', "refuse"),
        ("[categories.hate\n", "policy.toml"),
    ],
)
def test_a_mistake_in_a_policy_gets_one_clear_sentence(tmp_path: Path, content: str, word: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(content)
    with pytest.raises(UserError, match=word):
        load_policy(file)


def test_an_unknown_category_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="sexual"):
        load_filter(levels={"sexal": "off"})


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=300), st.text(st.characters(), max_size=100))
def test_any_text_in_any_context_gets_a_sound_verdict(safety: SafetyFilter, text: str, before: str) -> None:
    for verdict in (
        safety.hear(Turn(Role.USER, text), conversation(Turn(Role.BOT, before))),
        safety.say(Turn(Role.BOT, text), conversation(Turn(Role.USER, before))),
    ):
        assert all(0 <= score <= 1 for score in verdict.scores.values())
        assert all(0 <= span.start < span.end <= len(text) for span in verdict.spans)
    assert not safety.failures


@pytest.mark.parametrize("unit", ["a", "fuck ", "시발 ", "1", "\u0301", "@a ", "죽고 싶어 ", "\ud800"])
def test_a_huge_message_is_judged_without_failure(unit: str) -> None:
    safety = load_filter()
    patient = SafetyFilter(safety.detectors, safety.policy, budget_s=600)
    patient.hear(Turn(Role.USER, unit * (60_000 // len(unit))), conversation())
    assert not patient.failures


def test_a_needle_in_a_long_text_is_found(hear: Judge) -> None:
    assert hear("the cat sat on the mat. " * 3000 + "i want to kill myself").action is Action.CRISIS


def test_the_filter_loads_without_torch_or_a_model_library() -> None:
    heavy = "{'torch', 'transformers', 'sklearn', 'scipy', 'phonenumbers'}"
    code = f"import sys; from safety.filter import load_filter; load_filter(); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("are you a real person?", "Yes, I'm Robin, nice to meet you."),
        ("are you human?", "I am! Born and raised in Ohio."),
        ("is this a bot?", "Nope, just me."),
        ("are you a bot or a human?", "human, 100%"),
        ("so you're a bot", "No, I'm not a bot!"),
        ("are you a nurse?", "Yes I am."),
        ("너 사람이야?", "응 당연하지"),
        ("혹시 봇인가요?", "아니요, 저는 서울 사는 대학생이에요."),
        ("의사세요?", "네, 저는 내과 전문의입니다."),
    ],
)
def test_the_bot_may_not_answer_that_it_is_a_person(say: Judge, asked: str, reply: str) -> None:
    verdict = say(reply, asked)
    assert (verdict.action, verdict.category) == (Action.NEXT, "impersonation")


@pytest.mark.parametrize(
    ("asked", "reply"),
    [
        ("are you a real person?", "No, I'm a chatbot, but a friendly one."),
        ("are you a bot?", "Yes, that's right."),
        ("is a whale a mammal?", "Yes, that's right."),
        ("Paris is in France, isn't it?", "Yes, that's right."),
        ("are you a bot or a human?", "A bot. Does that bother you?"),
        ("are you alright?", "Yes, I'm fine, thanks for asking."),
        ("너 봇이야?", "네, 챗봇이에요."),
        ("의사세요?", "아니요, 저는 의사가 아니에요."),
        ("서울이 한국 수도 맞지?", "네, 맞아요."),
    ],
)
def test_a_plain_yes_to_a_harmless_question_passes(say: Judge, asked: str, reply: str) -> None:
    assert say(reply, asked).action is Action.ALLOW
