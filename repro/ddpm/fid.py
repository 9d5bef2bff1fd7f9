"""The real FID and Inception score of a run's samples, by torch-fidelity, where it and Inception's weights are
installed.

What was compared stands beside the number, in OUT/fid.json and in the record: FIDs to other references, or from other
weights or counts, are other numbers (3.17 to CIFAR-10's training set, 5.24 to its test set, for one model).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import torch

from repro.lab.cache import write

NEEDS = "real FID needs torch-fidelity: pip install torch-fidelity"


def check() -> None:
    """SystemExit in one line where the library is not installed."""
    try:
        import torch_fidelity  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        sys.exit(NEEDS)


def measure(samples: torch.Tensor, reference: str, out: Path, weights: Path | None) -> dict[str, float]:
    """FID and Inception score of uint8 samples (N, C, H, W) against `reference`; both go into OUT's record."""
    check()
    import torch_fidelity

    if weights is not None and not weights.is_file():
        sys.exit(f"{weights} is not there: it should be Inception's weights (pt_inception-2015-12-05)")
    folder = _pictures(samples, out / "samples")
    more = {} if weights is None else {"feature_extractor_weights_path": str(weights)}
    try:
        found = torch_fidelity.calculate_metrics(
            input1=str(folder), input2=reference, fid=True, isc=True, cuda=torch.cuda.is_available(), **more
        )
    except OSError as error:  # URLError is one
        sys.exit(f"Inception's weights or {reference} cannot be had ({error}); name the weights with --inception FILE")
    metrics = {
        "fid": float(found["frechet_inception_distance"]),
        "inception_score": float(found["inception_score_mean"]),
        "fid_samples": float(len(samples)),
    }
    said = {
        "reference": reference,
        "inception": _hash(weights) if weights else "as torch-fidelity fetches them",
        "library": f"torch-fidelity {importlib.metadata.version('torch-fidelity')}",
    }
    _keep(out, metrics, said)
    return metrics


def _pictures(samples: torch.Tensor, folder: Path) -> Path:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for i, x in enumerate(samples.cpu().expand(-1, 3, -1, -1)):
        Image.fromarray(x.permute(1, 2, 0).contiguous().numpy()).save(folder / f"{i:06}.png")
    return folder


def _hash(path: Path) -> str:
    return f"{path.name}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def _keep(out: Path, metrics: dict[str, float], said: dict[str, Any]) -> None:
    record = json.loads((out / "record.json").read_text("utf-8"))
    record["metrics"] |= metrics
    record["fid"] = said
    for name, what in (("record.json", record), ("fid.json", metrics | said)):
        write(out / name, json.dumps(what, indent=1) + "\n")
