"""Images as uint8 arrays on the device: patches and digits that come with scikit-learn, CIFAR-10, or a folder of one's
own.

python -m repro.ddpm.data --download DIR     # CIFAR-10 into DIR; goes on where it was cut off

N = images, C = channels, H, W = height and width.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import pickle
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from repro.ddpm.config import Config

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
STRIPE = 32  # columns of a photograph that belong together to the training or the test part
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Images:
    """A data set on the device: uint8 (N, C, H, W) each. `name` says what it is, its hash, and what was done to it."""

    train: torch.Tensor
    test: torch.Tensor
    name: str
    train_labels: torch.Tensor | None = None  # int64 (N,), where the data has classes
    test_labels: torch.Tensor | None = None


def load(config: Config, device: torch.device) -> Images:
    """The images that `config` asks for; a ValueError in one line where they are missing or do not fit."""
    labels: tuple[np.ndarray, np.ndarray] | None = None
    if config.data == "patches":
        train, test, says = *_patches(config.image_size), "grey patches of scikit-learn's two photographs"
    elif config.data == "digits":
        train, test, says = *_digits(), "scikit-learn's 8x8 digits, 17 levels scaled to 0..255"
    elif config.data == "cifar10":
        train, test, labels, says = _cifar10(Path(config.data_dir))
    else:
        train, test, says = _folder(Path(config.data_dir), config.image_size, config.channels_of_image)
    wanted = (config.channels_of_image, config.image_size, config.image_size)
    if train.shape[1:] != wanted or test.shape[1:] != wanted:
        raise ValueError(f"{config.data} has images of shape {train.shape[1:]} (C, H, W); the config asks for {wanted}")
    if not len(train) or not len(test):
        raise ValueError(f"{config.data}: {len(train)} images to train and {len(test)} to test on; both need some")
    train, test = np.ascontiguousarray(train), np.ascontiguousarray(test)
    digest = hashlib.sha256(train.data)
    digest.update(test.data)
    tensors = [torch.from_numpy(a).to(device) for a in (train, test)]
    named = [torch.from_numpy(a.astype(np.int64)).to(device) for a in labels] if labels else [None, None]
    return Images(tensors[0], tensors[1], f"{says}, sha256 {digest.hexdigest()[:12]}", named[0], named[1])


def to_float(x: torch.Tensor) -> torch.Tensor:
    """uint8 0 … 255 -> float32 in [-1, 1]."""
    return x.float() / 127.5 - 1


def to_bytes(x: torch.Tensor) -> torch.Tensor:
    """Floats -> the nearest uint8 0 … 255; what lies outside [-1, 1] is clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _patches(size: int, n_train: int = 20_000, n_test: int = 4_000) -> tuple[np.ndarray, np.ndarray]:
    """Random patches, the same in every run. Every fifth stripe of columns is for testing: no patch crosses its
    edge."""
    from sklearn.datasets import load_sample_images

    if size > STRIPE:
        raise ValueError(f"patches are at most {STRIPE} pixels wide; the config asks for {size}")
    photos = [image.mean(2).round().astype(np.uint8) for image in load_sample_images().images]
    rng = np.random.default_rng(0)
    parts: list[np.ndarray] = []
    for testing, n in ((False, n_train), (True, n_test)):
        taken = []
        for photo in photos:
            height, width = photo.shape
            left = np.arange(width - size + 1)
            stripes = {at: ((left + at) // STRIPE) % 5 == 2 for at in (0, size - 1)}  # does it begin, end there?
            inside = stripes[0] & stripes[size - 1] if testing else ~stripes[0] & ~stripes[size - 1]
            columns, rows = rng.choice(left[inside], n // 2), rng.integers(0, height - size + 1, n // 2)
            taken += [photo[r : r + size, c : c + size] for r, c in zip(rows, columns, strict=True)]
        parts.append(np.stack(taken)[rng.permutation(len(taken))][:, None])
    return parts[0], parts[1]


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    levels = load_digits().images  # (N, 8, 8), 0 … 16
    values = (levels * 255 / 16).round().astype(np.uint8)[:, None]
    values = values[np.random.default_rng(0).permutation(len(values))]
    return values[:1437], values[1437:]


# CIFAR-10


class _Plain(pickle.Unpickler):
    """Reads CIFAR-10's pickles and nothing else: arrays of numpy, and no code."""

    ALLOWED = frozenset(
        (module, name)
        for module, names in {
            "numpy.core.multiarray": ("_reconstruct",),
            "numpy._core.multiarray": ("_reconstruct",),
            "numpy._core.numeric": ("_frombuffer",),
            "numpy.core.numeric": ("_frombuffer",),
            "numpy": ("ndarray", "dtype"),
            "_codecs": ("encode",),
        }.items()
        for name in names
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise ValueError(f"a CIFAR-10 file asks for {module}.{name}, which no such file needs; it is not read")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _cifar10(folder: Path) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray], str]:
    """torchvision's layout; `label.txt` beside the batches says what was done to the images."""
    home = folder / "cifar-10-batches-py"
    names = [f"data_batch_{i}" for i in range(1, 6)]
    missing = [name for name in [*names, "test_batch"] if not (home / name).is_file()]
    if missing:
        raise ValueError(
            f"{home} lacks {', '.join(missing)}; `python -m repro.ddpm.data --download {folder}` fetches CIFAR-10"
        )
    train = [_batch(home / name) for name in names]
    test = _batch(home / "test_batch")
    says = "CIFAR-10"
    for label in (home / "label.txt", folder / "label.txt"):
        if label.is_file():
            says += f", {label.read_text('utf-8').strip()}"
            break
    images, labels = (np.concatenate([part[i] for part in train]) for i in (0, 1))
    return images, test[0], (labels, test[1]), says


def _batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images (N, 3, 32, 32) and labels (N,) of one file."""
    with open(path, "rb") as file:
        try:
            parts = _Plain(file, encoding="latin1").load()
            data, labels = np.asarray(parts["data"]), np.asarray(parts["labels"])
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no batch of CIFAR-10: {error}") from error
    if data.dtype != np.uint8 or data.shape != (len(labels), 3072):
        raise ValueError(f"{path} is no batch of CIFAR-10: {data.dtype} {data.shape} for {len(labels)} labels")
    return data.reshape(-1, 3, 32, 32), labels


def download(folder: Path, url: str = URL, md5: str = MD5, tries: int = 3) -> None:
    """Fetch CIFAR-10 into `folder`, going on from what is there; SystemExit in one line where that cannot be."""
    if (folder / "cifar-10-batches-py" / "test_batch").is_file():
        print(f"{folder} has CIFAR-10 already")
        return
    folder.mkdir(parents=True, exist_ok=True)
    archive, part = folder / "cifar-10-python.tar.gz", folder / "cifar-10-python.tar.gz.part"
    if not archive.is_file():
        problem = ""
        for _ in range(tries):
            try:
                problem = _fetch(url, part)
            except urllib.error.HTTPError as error:
                sys.exit(f"{url}: the server says {error.code} {error.reason}")
            except (OSError, http.client.HTTPException) as error:
                problem = str(error)
            if not problem:
                break
        if problem:
            sys.exit(f"{url} cannot be fetched now ({problem}); the same command goes on from what has come")
        part.replace(archive)
    found = hashlib.md5(archive.read_bytes()).hexdigest()
    if found != md5:
        archive.unlink()
        sys.exit(f"{url} came with MD5 {found}, not {md5}; it is removed, try again")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    archive.unlink()
    print(f"CIFAR-10 is in {folder / 'cifar-10-batches-py'}")


def _fetch(url: str, part: Path) -> str:
    """Add what is missing to `part`; what is wrong, or nothing."""
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # it is all here, or is no part of this file: the checksum tells
            return ""
        raise
    with response:
        go_on = response.status == 206
        have = have if go_on else 0
        total = have + int(response.headers.get("Content-Length") or 0)
        with open(part, "ab" if go_on else "wb") as file:
            while chunk := response.read(1 << 20):
                file.write(chunk)
                have += len(chunk)
                if sys.stderr.isatty():
                    print(f"\r{have / 2**20:.0f} of {total / 2**20:.0f} MiB", end="", file=sys.stderr)
    return f"cut off after {have} of {total} bytes" if have < total else ""


# Anyone's images


def _folder(place: Path, size: int, channels: int) -> tuple[np.ndarray, np.ndarray, str]:
    """A folder of pictures, or a .npy or .npz file of uint8 (N, H, W) or (N, H, W, C); the last 5 % are for testing."""
    if place.suffix in (".npy", ".npz") and place.is_file():
        return _arrays(place)
    paths = sorted(p for p in place.rglob("*") if p.suffix.lower() in PICTURES) if place.is_dir() else []
    if len(paths) < 2:
        raise ValueError(f"{place} holds {len(paths)} pictures; --data-dir names a folder of them, a .npy or a .npz")
    stack = np.stack([_picture(path, size, channels) for path in paths])
    kept = len(stack) - max(1, len(stack) // 20)
    return stack[:kept], stack[kept:], f"pictures of {place.name}, centre-cropped, resized to {size}"


def _picture(path: Path, size: int, channels: int) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            image = opened.convert("L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BOX)
    pixels: np.ndarray = _channels_first(np.asarray(image)[None])[0]
    return pixels


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    loaded = np.load(path, allow_pickle=False)
    parts = {"train": loaded} if isinstance(loaded, np.ndarray) else {k: loaded[k] for k in loaded.files}
    if "train" not in parts:
        raise ValueError(f"{path} holds {', '.join(parts) or 'nothing'}; it needs an array 'train', perhaps 'test'")
    wrong = [k for k in ("train", "test") if k in parts and (parts[k].dtype != np.uint8 or parts[k].ndim not in (3, 4))]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]} must be uint8 (N, H, W) or (N, H, W, C)")
    train = _channels_first(parts["train"])
    if "test" in parts:
        return train, _channels_first(parts["test"]), f"arrays of {path.name}"
    kept = len(train) - max(1, len(train) // 20)
    return train[:kept], train[kept:], f"arrays of {path.name}"


def _channels_first(x: np.ndarray) -> np.ndarray:
    return x[:, None] if x.ndim == 3 else np.moveaxis(x, 3, 1)


def main(args: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m repro.ddpm.data", description="Fetch CIFAR-10.")
    parser.add_argument("--download", type=Path, required=True, metavar="DIR", help="the folder to put it in")
    parser.add_argument("--url", default=URL, help="a mirror; the checksum stays")
    given = parser.parse_args(args)
    download(given.download, given.url)


if __name__ == "__main__":
    main()
