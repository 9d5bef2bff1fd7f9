"""A vault in a temporary folder, and `kb` run in it as a person runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, so that a change fails for what it changed; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("search", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("kb", settings.get_profile("search"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "kb"))

Vault = Callable[..., Path]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def make_vault(tmp_path: Path) -> Vault:
    """`make_vault({"papers/a.md": "---\\n…"})`: a vault with these files below notes/."""

    def make(files: Mapping[str, str | bytes], name: str = "vault") -> Path:
        root = tmp_path / name
        (root / "notes").mkdir(parents=True, exist_ok=True)
        (root / "mkdocs.yml").write_text("site_name: x\n")
        for path, text in files.items():
            file = root / "notes" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return root

    return make


@pytest.fixture
def run_kb() -> Run:
    """`run_kb(root, "list", "--json")`: the command line in a process of its own, not on a terminal."""

    def run(root: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("KB_", "_KB", "NO_COLOR"))}
        command = [sys.executable, "-m", "kb", *args]
        return subprocess.run(
            command, cwd=root, env=clean | env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
        )

    return run
