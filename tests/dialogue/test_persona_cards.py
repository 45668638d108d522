from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.errors import UnknownName, UserError
from dialogue.persona_cards import load_persona, persona_names


@pytest.mark.parametrize("name", persona_names())
def test_every_shipped_card_reads_and_says_that_it_is_a_chatbot(name: str) -> None:
    card = load_persona(name)
    assert card.name
    assert card.language in {"en", "ko"}
    assert name == "plain" or any("chatbot" in fact or "챗봇" in fact for fact in card.facts)


def test_the_cards_cover_zero_one_and_few_shot() -> None:
    counts = {len(load_persona(name).examples) for name in persona_names()}
    assert {0, 1} < counts
    assert max(counts) > 1


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'robin'"):
        load_persona("robyn")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("name = 3", "text in the field 'name'"),
        ('facts = "one"', "list in the field 'facts'"),
        ("facts = [1]", "list of texts in the field 'facts'"),
        ('moood = "good"', "unknown field 'moood'"),
        ('examples = [{user = "hi"}]', "examples of the form"),
        ("name = ", "cannot be read"),
    ],
)
def test_a_wrong_card_is_told_by_file_and_field(tmp_path: Path, content: str, complaint: str) -> None:
    card = tmp_path / "card.toml"
    card.write_text(content)
    with pytest.raises(UserError, match=complaint) as error:
        load_persona(str(card))
    assert "card.toml" in str(error.value)


def test_a_card_of_ones_own_is_read_from_its_path(tmp_path: Path) -> None:
    card = tmp_path / "mine.toml"
    card.write_text('facts = ["I live in a lighthouse."]\nexamples = [{user = "Hi", bot = "Ahoy"}]\n')
    persona = load_persona(str(card))
    assert (persona.name, persona.facts, persona.examples[0].bot) == ("mine", ("I live in a lighthouse.",), "Ahoy")
