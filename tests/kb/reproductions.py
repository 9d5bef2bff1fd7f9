"""Small reproductions for tests: folders of repro/ with code, results.json, records and pictures."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TRAIN = "from repro.{paper}.model import double\n\n\ndef main():\n    print(double(2))\n\n\nmain()\n"
MODEL = "def double(x):\n    return 2 * x\n"


def png(width: int = 48, height: int = 32) -> bytes:
    """A picture of grey stripes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes((x * 5 + y * 3) % 256 for x in range(width)) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def segment(**given: Any) -> dict[str, Any]:
    return {
        "commit": "0123456789abcdef", "dirty": False, "source": "feedfacefeedface",
        "command": "python -m repro.toy.train smoke", "python": "3.11.7", "torch": "2.13.0", "device": "a CPU",
        "world_size": 1, "started": "2026-01-02T03:04:05+00:00", "from_step": 0, "to_step": 100, "seconds": 90.0,
    } | given  # fmt: skip


def record(paper: str = "toy", recipe: str = "smoke", seed: int = 0, source: str = "", **given: Any) -> dict[str, Any]:
    """A record; `source` is the hash in its one segment."""
    stretch = segment(**({"source": source} if source else {}))
    return {
        "schema": 1, "paper": paper, "recipe": recipe, "config": {"seed": seed, "lr": 0.001}, "done": True,
        "data": "digits", "segments": [stretch], "metrics": {"loss_nats": 0.5 + seed / 10},
        "curve": {"step": [0, 50, 100], "loss_nats": [2.0, 1.0, 0.5 + seed / 10]}, "figures": [],
    } | given  # fmt: skip


def claim(id: str = "T-1", **given: Any) -> dict[str, Any]:
    """A row of results.json that nobody has run."""
    return {
        "id": id, "note": "", "says": f"What {id} says", "where": "Table 1", "paper": "3.17", "ours": "toy data",
        "tier": "robust", "recipes": ["smoke"], "seeds": [], "effects": [], "verdict": "not run", "stale": False,
        "runs": [],
    } | given  # fmt: skip


def judged(id: str = "T-1", **given: Any) -> dict[str, Any]:
    """A row that three runs of `smoke` have decided."""
    numbers = {
        "verdict": "holds", "seeds": [0, 1, 2], "effects": [0.1, 0.12, 0.14], "mean": 0.12, "p": 0.00913,
        "low": 0.0703, "high": 0.17, "runs": ["smoke-s0", "smoke-s1", "smoke-s2"], "devices": ["a CPU"],
        "data": ["digits"],
    }  # fmt: skip
    return claim(id, **(numbers | given))


def write(
    root: Path,
    paper: str = "toy",
    claims: Sequence[Mapping[str, Any]] | None = None,
    records: Sequence[Mapping[str, Any]] = (),
    code: Mapping[str, str] | None = None,
) -> Path:
    """The folder repro/<paper> below a root; `code` is by file name."""
    folder = root / "repro" / paper
    (folder / "runs").mkdir(parents=True, exist_ok=True)
    for name, text in (code or {}).items():
        (folder / name).write_text(text)
    if claims is not None:
        whole = {"schema": 1, "paper": paper, "claims": list(claims)}
        (folder / "results.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    for one in records:
        name = f"{one['recipe']}-s{one['config'].get('seed', 0)}"
        (folder / "runs" / f"{name}.json").write_text(json.dumps(one, indent=1) + "\n")
        for figure in one["figures"]:
            (folder / "runs" / figure).write_bytes(png())
    return folder
