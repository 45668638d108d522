"""Two actors of a Ray cluster give what one process gives; in a process of its own, because Ray stays."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eval.offline.tiny_chat import tiny_folder

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import sys
from pathlib import Path
from eval.offline.answerer import Work
from eval.offline.runner import Plan, run
from eval.offline.suite import load_items, load_suite

if __name__ == "__main__":
    import ray
    env = {"env_vars": {"PYTHONPATH": sys.argv[1], "OMP_NUM_THREADS": "1"}}
    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False, runtime_env=env)
    suite, folder = load_suite("smoke"), Path(sys.argv[2])
    found = load_items(suite, None, limit=36)
    settings = {"model": str(folder / "tiny"), "dtype": "float32", "threads": 1}
    work = Work(settings, "robin", "topk", 0, 1, True, {"max_length": 6})
    for name, options in (("one", {}), ("two", {"ray": "auto", "workers": 2})):
        plan = Plan(suite, found.items, found.hashes, work, folder / name, **options)
        run(plan, lambda stage, count: None, lambda line: None)
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is an extra")
def test_two_ray_actors_give_the_same_replies_and_likelihoods_as_one_process(tmp_path: Path) -> None:
    tiny_folder(tmp_path / "tiny")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled"}
    words = [sys.executable, "-c", PROGRAM, str(ROOT), str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for name, field in (("replies", "reply"), ("likelihood", "references")):
        one, two = ([json.loads(line)[field] for line in (tmp_path / side / f"{name}.jsonl").read_text().splitlines()]
                    for side in ("one", "two"))  # fmt: skip
        assert one == two and len(one) == 36
