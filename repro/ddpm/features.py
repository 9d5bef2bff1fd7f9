"""Distances between sets of images: Fréchet's, in pixels or in the features of a small classifier that we train
ourselves.

Nothing here is FID: that one is defined by the Inception network's features (fid.py).
N = images, F = features.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from repro.ddpm.data import Images, to_float
from repro.lab.files import write_whole


class Classifier(nn.Module):
    """A small residual network for CIFAR-10, (N, 3, 32, 32) -> features (N, 128) and logits (N, classes)."""

    def __init__(self, channels: int = 3, classes: int = 10, width: int = 64) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.stages = nn.ModuleList()
        for wide in (width, 2 * width, 4 * width):
            self.stages.append(nn.Sequential(_conv(width, wide), nn.MaxPool2d(2)))
            self.stages.append(Residual(_conv(wide, wide), _conv(wide, wide)))
            width = wide
        self.project = nn.Linear(width, 128)
        self.classify = nn.Linear(128, classes)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        features = self.project(x.mean((2, 3)))
        return features, self.classify(F.relu(features))


class Residual(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.inner = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x + self.inner(x)
        return out


def _conv(width: int, wide: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU())


def train_classifier(images: Images, steps: int = 2000, batch_size: int = 512, seed: int = 0) -> Classifier:
    """Train on the labelled training images: about a minute on a GPU. The seed is fixed, so that runs share
    features."""
    assert images.train_labels is not None
    device, n = images.train.device, len(images.train)
    batch_size = min(batch_size, n)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model = Classifier(images.train.shape[1], int(images.train_labels.max()) + 1).to(device)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        for _ in range(steps):
            rows = torch.randint(n, (batch_size,), device=device)
            x = _shifted(to_float(images.train[rows])).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = F.cross_entropy(model(x)[1], images.train_labels[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    return model


def _shifted(x: torch.Tensor) -> torch.Tensor:
    """Each batch mirrored or not, and moved by up to four pixels."""
    dy, dx = torch.randint(0, 9, (2,)).tolist()
    height, width = x.shape[2:]
    x = F.pad(x, (4, 4, 4, 4), mode="reflect")[:, :, dy : dy + height, dx : dx + width]
    return x.flip(3) if torch.rand(()) < 0.5 else x


def classifier(images: Images, folder: Path, steps: int = 2000) -> Classifier:
    """The classifier of this data, kept in `folder` so that runs beside one another measure with the same one."""
    assert images.train_labels is not None
    path = folder / f"features-{images.name.rpartition(' ')[2]}.pt"
    if path.is_file():
        model = Classifier(images.train.shape[1], int(images.train_labels.max()) + 1)
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return model.to(images.train.device).eval()
    model = train_classifier(images, steps)
    write_whole(path, lambda file: torch.save(model.state_dict(), file))
    return model


@dataclass(frozen=True)
class Moments:
    """What Fréchet's distance needs of a set: how many, their mean (F,) and covariance (F, F), float64 on the CPU."""

    n: int
    mean: torch.Tensor
    cov: torch.Tensor


def moments(features: torch.Tensor) -> Moments:
    features = features.double().cpu()
    return Moments(len(features), features.mean(0), torch.cov(features.T))


def frechet(a: Moments, b: Moments) -> float:
    """|m_a - m_b|^2 + tr(A + B - 2 (A B)^(1/2)), the squared distance between two Gaussians."""
    values, vectors = torch.linalg.eigh(a.cov)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ b.cov @ root).clamp_min(0).sqrt().sum()
    return float((a.mean - b.mean).square().sum() + a.cov.trace() + b.cov.trace() - 2 * shared)


def pixels(x: torch.Tensor) -> torch.Tensor:
    """uint8 images (N, C, H, W) -> their values in [-1, 1] at 8x8, (N, 64 C): larger ones are averaged down."""
    return F.adaptive_avg_pool2d(to_float(x), 8).flatten(1) if x.shape[-1] > 8 else to_float(x).flatten(1)


@torch.no_grad()
def class_features(model: Classifier, x: torch.Tensor, batch_size: int = 1000) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 images -> features (N, F) and class probabilities (N, classes)."""
    parts = [model(to_float(part)) for part in x.split(batch_size)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1].softmax(1) for p in parts])


def class_score(probabilities: torch.Tensor) -> float:
    """exp of the mean KL from each image's class probabilities to their mean: the Inception score's formula with our
    classifier. 1 at worst, the number of classes at best."""
    p = probabilities.double().clamp_min(1e-12)
    return float((p * (p.log() - p.mean(0).log())).sum(1).mean().exp())
