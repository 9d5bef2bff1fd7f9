"""The guide's page "Add your own paper", followed word for word in an empty folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "notes" / "guide" / "add-your-own-paper.md"


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(cwd)}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def test_a_vault_of_one_s_own_comes_to_a_judged_claim(tmp_path: Path) -> None:
    vault = tmp_path / "papers"
    assert run("kb", "init", str(vault), cwd=tmp_path).returncode == 0
    title = "Some methods of speeding up the convergence of iteration methods"
    added = run(
        "kb", "add", "10.1016/0041-5553(64)90137-5", "--offline", "--title", title, "--id", "heavy-ball", cwd=vault
    )
    assert added.returncode == 0, added.stderr
    note = vault / "notes" / "papers" / "heavy-ball.md"
    note.write_text(note.read_text().replace("kind: paper\n", "kind: paper\nrepro: heavy_ball\n"))
    missing = run("kb", "run", "heavy_ball", cwd=vault)
    assert missing.returncode == 1 and "heavy_ball" in missing.stderr and "Traceback" not in missing.stderr

    files = re.findall(r'```python title="([^"]+)"\n(.*?)```', PAGE.read_text("utf-8"), re.S)
    assert [name for name, _ in files] == [f"repro/heavy_ball/{name}.py" for name in ("config", "train", "claims")]
    for name, text in files:
        (vault / name).parent.mkdir(parents=True, exist_ok=True)
        (vault / name).write_text(text)
    (vault / "repro" / "heavy_ball" / "__init__.py").write_text(
        '"""Heavy ball. The note: notes/papers/heavy-ball.md."""\n'
    )

    kept = []
    for recipe in ("smoke", "heavy"):
        for seed in ("0", "1", "2"):
            out = f"out/{recipe}-s{seed}"
            ended = run("kb", "run", "heavy_ball", recipe, "--", "--seed", seed, "--out", out, cwd=vault)
            assert ended.returncode == 0, ended.stderr
            kept.append(out)
    judged = run("repro.heavy_ball.claims", "--keep", *kept, cwd=vault)
    assert judged.returncode == 0, judged.stderr
    (claim,) = json.loads((vault / "repro" / "heavy_ball" / "results.json").read_text())["claims"]
    assert (claim["verdict"], claim["seeds"], claim["stale"]) == ("holds", [0, 1, 2], False)
    assert claim["mean"] > 1
    shown = run("kb", "claims", "heavy_ball", "--json", cwd=vault)
    assert [(c["id"], c["verdict"], c["stale"]) for c in json.loads(shown.stdout)["claims"]] == [
        ("HB-1", "holds", False)
    ]
    assert run("kb", "check", cwd=vault).stdout == ""
