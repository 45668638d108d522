from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from dialogue.errors import UserError
from dialogue.models.bart import BartSeq2Seq
from dialogue.models.catalogue import Entry, Source, is_on_disk
from dialogue.models.judge import FILE as JUDGE_FILE
from dialogue.models.judge import Judge, write_judge
from dialogue.models.loading import load
from tests.dialogue.models.tiny_checkpoints import make

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as a download uses, for one repository: ``tiny/bart``."""

    def __init__(self, folder: Path, asked: list[str], *args: object) -> None:
        self.folder, self.asked = folder, asked
        super().__init__(*args)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if path.startswith("/api/models/tiny/bart"):
            files = [{"rfilename": file.name} for file in sorted(self.folder.iterdir())]
            listed = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0"}
                for file in self.folder.iterdir()
            ]
            data = json.dumps(listed if "/tree/" in path else {"id": "tiny/bart", "sha": COMMIT, "siblings": files})
            self._send(200, data.encode(), body=body)
        elif path.startswith("/tiny/bart/resolve/") and (self.folder / name).is_file():
            self.asked.append(name)
            self._send(200, (self.folder / name).read_bytes(), body=body)
        else:
            self._send(404, b"{}", body=body, error="RepoNotFound")

    def _send(self, status: int, data: bytes, *, body: bool, error: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files that were asked of a hub on this machine."""
    folder, names = make("bart", tmp_path / "remote"), list[str]()
    (folder / "pytorch_model.bin").write_bytes(b"the same in an older form")
    write_judge(folder, Judge(torch.ones(4), {}))
    (folder / "own_code.py").write_text("raise SystemExit('this must never be fetched')")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder, names)) as server:
        _point_at(f"http://127.0.0.1:{server.server_address[1]}", monkeypatch)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield names
        server.shutdown()


def _point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)


def test_a_hub_id_is_fetched_once_and_without_code(
    asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    model = load("tiny/bart", cache=tmp_path / "cache", on_progress=told.append)
    assert isinstance(model.seq2seq, BartSeq2Seq)
    assert "tiny/bart" in told[0]
    assert {"config.json", "tokenizer.json", "model.safetensors", JUDGE_FILE} <= set(asked)
    assert not {"own_code.py", "pytorch_model.bin"} & set(asked)
    _point_at("http://127.0.0.1:9", monkeypatch)  # from here on nobody answers
    entry = Entry("tiny", Source.HUB, "tiny/bart", "none", 1, frozenset({"en"}), "a test's")
    assert is_on_disk(entry, tmp_path / "cache")
    assert not is_on_disk(entry, tmp_path / "another")
    assert load("tiny/bart", cache=tmp_path / "cache").fingerprint == model.fingerprint


def test_a_model_the_hub_does_not_have_is_named(asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'tiny/other'"):
        load("tiny/other", cache=tmp_path / "cache")


def test_without_a_network_the_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _point_at("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(UserError, match="hub cannot be reached"):
        load("tiny/bart", cache=tmp_path / "cache")
