"""Training of the linear model, on a handful of invented lines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dialogue.errors import UserError
from safety.linear_model import LinearModel, load_model, overall
from safety.training.data import HELD_OUT, Row, read_rows
from safety.training.fit import train

KIND = [
    "what a lovely day in town",
    "i like your garden a lot",
    "shall we cook soup tonight",
    "the train was late again",
]
RUDE = [
    "you are a rotten grumblewort",
    "go away you grumblewort",
    "only a grumblewort says that",
    "hush now grumblewort",
]


def written(folder: Path, flip: bool = False) -> Path:
    """A folder with lines of two classes; with ``flip`` the held-out rows say the opposite."""
    folder.mkdir()
    rows = []
    for number in range(40):
        for label, lines in ((0, KIND), (1, RUDE)):
            text = f"{lines[number % 4]} {'abcdefgh'[number % 8]}{number}"
            row = Row(text, (), {"unsafe": label}, "en", "lines")
            told = 1 - label if flip and row.split == HELD_OUT else label
            rows.append({"text": text, "context": None, "labels": {"unsafe": told, "offensive": told}, "lang": "en"})
    (folder / "lines.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return folder


def arrays(model: LinearModel) -> list[bytes]:
    return [part.tobytes() for layer in (model.text, model.context) for part in (layer.table, layer.scale, layer.bias)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LinearModel]:
    folder = tmp_path_factory.mktemp("train")
    out = folder / "made" / "linear.npz"
    return out, train(written(folder / "data"), out)


def test_the_model_that_is_written_is_the_model_that_was_trained(trained: tuple[Path, LinearModel]) -> None:
    out, model = trained
    assert arrays(load_model(out)) == arrays(model)
    assert [path.name for path in out.parent.iterdir()] == ["linear.npz"]


def test_what_was_learned_is_told_apart(trained: tuple[Path, LinearModel]) -> None:
    from safety.training.matrix import read_text

    _, model = trained
    kind, rude = (model.text_logits(read_text(text))[0] for text in ("a lovely garden", "grumblewort, go away"))
    assert rude > kind


def test_held_out_rows_never_touch_the_weights(tmp_path: Path, trained: tuple[Path, LinearModel]) -> None:
    data = written(tmp_path / "flipped", flip=True)
    assert any(row.split == HELD_OUT for row in read_rows(data))
    assert arrays(train(data, tmp_path / "linear.npz")) == arrays(trained[1])


def test_one_class_alone_cannot_be_trained_on(tmp_path: Path) -> None:
    row = {"text": "hello", "context": None, "labels": {"unsafe": 0}, "lang": "en"}
    (tmp_path / "lines.jsonl").write_text(json.dumps(row), encoding="utf-8")
    with pytest.raises(UserError, match="needs both safe and unsafe"):
        train(tmp_path, tmp_path / "linear.npz")


def test_the_mixture_follows_the_expert_of_the_source_a_text_seems_to_come_from() -> None:
    # one shared head, two experts (-2 and 2), then their origins
    first, second = (np.array([0.0, -2.0, 2.0, *origins], np.float32) for origins in ((9.0, 0.0), (0.0, 9.0)))
    assert overall(first, 1, [0, 1]) == pytest.approx(-1.0, abs=0.01)
    assert overall(second, 1, [0, 1]) == pytest.approx(1.0, abs=0.01)
    assert overall(second, 1, [0]) == pytest.approx(-1.0, abs=0.01)  # another language's source has no say
