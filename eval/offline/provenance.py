"""Where numbers come from: commit, versions, machine, moment. Asked for at the call, nothing at import."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGES = (
    "chinwag",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "scipy",
    "sacrebleu",
    "scikit-learn",
    "matplotlib",
)
ROOT = Path(__file__).resolve().parent.parent.parent


def provenance() -> dict[str, Any]:
    """JSON-ready: commit (with ``dirty`` where files differ from it), versions, Python, machine, time in UTC."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "versions": {name: _version(name) for name in PACKAGES if _version(name)},
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git(*words: str) -> str:
    """What git says of this program's own folder; empty where it is no checkout."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
