"""OpenAI's npm client, really run by Node, against a running ``chinwag serve`` with a small random model."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.bot.doors.server_process import serving

NPM = Path(__file__).with_name("npm")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> dict[str, Any]:
    """What the client saw; skipped where there is no Node or the client is not installed."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node: install Node.js 20 or newer to try OpenAI's npm client")
    if not (NPM / "node_modules" / "openai").is_dir():
        pytest.skip("no npm client: npm install --prefix tests/bot/doors/npm")
    with serving(tmp_path_factory.mktemp("npm"), tiny_checkpoint) as server:
        command = [node, str(NPM / "client.mjs"), f"{server.url}/v1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_lists_and_retrieves_models(seen: dict[str, Any]) -> None:
    assert seen["retrieved"] == seen["models"][0]
    assert f"{seen['models'][0]}:meena" in seen["models"]


def test_it_gets_an_answer_with_usage(seen: dict[str, Any]) -> None:
    plain = seen["plain"]
    assert plain["object"] == "chat.completion" and plain["choice"]["message"]["role"] == "assistant"
    assert plain["choice"]["message"]["content"] and plain["choice"]["finish_reason"] in ("stop", "length")
    usage = plain["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > usage["prompt_tokens"] > 0
    assert len(seen["several"]) == 2


def test_a_stream_says_the_same_as_the_plain_answer_and_ends_with_the_usage(seen: dict[str, Any]) -> None:
    streamed, plain = seen["streamed"], seen["plain"]
    assert streamed["role"] == "assistant" and streamed["ids"] == 1
    assert streamed["text"] == plain["choice"]["message"]["content"] == seen["helper"]
    assert streamed["finish"] == [plain["choice"]["finish_reason"]]
    assert streamed["usage"] == plain["usage"] and streamed["last_choices"] == 0


def test_our_own_fields_and_endpoints_are_reachable_through_it(seen: dict[str, Any]) -> None:
    assert seen["kept"] == ["npm", "npm"] and seen["history"] == 4


def test_it_gets_plain_completions_whole_and_streamed(seen: dict[str, Any]) -> None:
    assert seen["completions"] == {"object": "text_completion", "texts": ["string", "string"]}
    assert seen["completion_stream"]


def test_it_gets_moderations(seen: dict[str, Any]) -> None:
    assert seen["flagged"] == [False, True]


def test_refusals_come_as_its_own_errors(seen: dict[str, Any]) -> None:
    errors = seen["errors"]
    assert (errors["unknown_model"]["name"], errors["unknown_model"]["code"]) == ("NotFoundError", "model_not_found")
    assert (errors["no_messages"]["name"], errors["no_messages"]["param"]) == ("BadRequestError", "messages")
    assert errors["too_long"]["status"] == 400 and "4,000" in errors["too_long"]["message"]
    assert errors["no_such_path"]["status"] == 404


def test_leaving_a_stream_leaves_the_server_well(seen: dict[str, Any]) -> None:
    assert seen["aborted"] and seen["after_abort"] == 1
