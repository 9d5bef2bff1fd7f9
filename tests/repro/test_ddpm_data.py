"""Images from every source, in small files of the real format and over a real (loopback) connection."""

from __future__ import annotations

import hashlib
import http.server
import io
import pickle
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from repro.ddpm import data
from repro.ddpm.config import Config

CPU = torch.device("cpu")
CIFAR = Config(data="cifar10", image_size=32, channels_of_image=3)


def batch(n, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, n).tolist()
    names = [f"{i}.png" for i in range(n)]
    return {
        "data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
        "labels": labels,
        "batch_label": "x",
        "filenames": names,
    }


def write_cifar(folder, n=4, protocol=2):
    home = folder / "cifar-10-batches-py"
    home.mkdir(parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    parts = [batch(n, i) for i in range(6)]
    for name, part in zip(names, parts, strict=True):
        (home / name).write_bytes(pickle.dumps(part, protocol=protocol))
    return parts


def test_to_float_and_back():
    x = torch.arange(256, dtype=torch.uint8)
    f = data.to_float(x)
    assert f.dtype == torch.float32 and f[0] == -1 and f[255] == 1 and torch.equal(data.to_bytes(f), x)
    assert data.to_bytes(torch.tensor([-2.0, 2.0, 0.5 / 255])).tolist() == [0, 255, 128]


def test_patches_are_8_bit_and_none_for_testing_shares_a_pixel_with_training():
    from sklearn.datasets import load_sample_images

    images = data.load(Config(), CPU)
    assert images.train.shape == (20_000, 1, 8, 8) and images.test.shape == (4_000, 1, 8, 8)
    assert images.train.dtype == torch.uint8 and len(images.train.unique()) == 256
    photos = [image.mean(2).round().astype(np.uint8) for image in load_sample_images().images]
    columns = {}
    for testing, x in ((True, images.test[:300]), (False, images.train[:300])):
        wanted = {p.numpy().tobytes() for p in x[:, 0]}
        columns[testing] = set()
        for photo in photos:
            windows = np.lib.stride_tricks.sliding_window_view(photo, (8, 8))
            rows = {}
            for i in range(windows.shape[0]):
                for j in range(windows.shape[1]):
                    rows.setdefault(windows[i, j].tobytes(), []).append(j)
            for p in wanted & rows.keys():
                if len(rows[p]) == 1:  # where it comes from is certain
                    columns[testing] |= set(range(rows[p][0], rows[p][0] + 8))
    assert len(columns[True]) > 60 and len(columns[False]) > 300
    assert not columns[True] & columns[False]


def test_data_is_the_same_in_every_run_and_named_by_its_hash():
    a, b = data.load(Config(), CPU), data.load(Config(seed=3), CPU)
    assert torch.equal(a.train, b.train) and a.name == b.name
    digest = hashlib.sha256(a.train.numpy().tobytes() + a.test.numpy().tobytes()).hexdigest()
    assert a.name.endswith(f"sha256 {digest[:12]}") and "photographs" in a.name


def test_digits_have_17_levels_over_the_whole_range():
    images = data.load(Config(data="digits"), CPU)
    assert images.train.shape == (1437, 1, 8, 8) and images.test.shape == (360, 1, 8, 8)
    levels = torch.cat((images.train, images.test)).unique()
    assert len(levels) == 17 and levels[0] == 0 and levels[-1] == 255


@pytest.mark.parametrize(
    ("config", "told"),
    [(Config(image_size=16, data="digits"), "the config asks for"),
     (Config(channels_of_image=3), "the config asks for"),
     (Config(image_size=64), "at most 32")],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_one_line(config, told):
    with pytest.raises(ValueError, match=told) as error:
        data.load(config, CPU)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("protocol", [2, 5])
def test_cifar_10_in_torchvisions_layout(tmp_path, protocol):
    parts = write_cifar(tmp_path, protocol=protocol)
    images = data.load(replace(CIFAR, data_dir=str(tmp_path)), CPU)
    assert images.train.shape == (20, 3, 32, 32) and images.test.shape == (4, 3, 32, 32)
    assert torch.equal(
        images.train[4].flatten(), torch.from_numpy(parts[1]["data"][0])
    )  # channel by channel, row by row
    assert images.train_labels.tolist() == [label for part in parts[:5] for label in part["labels"]]
    assert images.test_labels.tolist() == parts[5]["labels"]
    assert images.name.startswith("CIFAR-10, sha256 ")
    (tmp_path / "cifar-10-batches-py/label.txt").write_text("JPEG copies\n")
    assert data.load(replace(CIFAR, data_dir=str(tmp_path)), CPU).name.startswith("CIFAR-10, JPEG copies, sha256 ")


def test_a_pickle_written_by_python_2_is_read(tmp_path):
    """The real files: protocol 2 with byte strings, numpy.core's names, and str keys of Python 2."""
    write_cifar(tmp_path, n=1)
    path = tmp_path / "cifar-10-batches-py/test_batch"
    raw = bytes(range(256)) * 12
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    state = b"(K\x01K\x01M\x00\x0c\x86" + dtype + b"\x89T" + len(raw).to_bytes(4, "little") + raw + b"tb"
    path.write_bytes(b"\x80\x02}(U\x04data" + array + state + b"U\x06labels]K\x07au.")
    images = data.load(replace(CIFAR, data_dir=str(tmp_path)), CPU)
    assert images.test.numpy().tobytes() == raw and images.test_labels.tolist() == [7]


class Evil:
    def __reduce__(self):
        import os

        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    ("what", "told"),
    [(pickle.dumps({"data": Evil(), "labels": []}), "is not read"), (b"no pickle", "no batch"),
     (pickle.dumps({"labels": []}), "no batch"), (pickle.dumps([1]), "no batch"), (b"", "no batch"),
     (pickle.dumps({"data": np.zeros((2, 3072)), "labels": [1, 2]}), "float64"),
     (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}), "for 1 labels")],
)  # fmt: skip
def test_a_bad_file_is_told_and_runs_no_code(tmp_path, monkeypatch, what, told):
    monkeypatch.chdir(tmp_path)
    write_cifar(tmp_path)
    (tmp_path / "cifar-10-batches-py/data_batch_3").write_bytes(what)
    with pytest.raises(ValueError, match=told):
        data.load(replace(CIFAR, data_dir=str(tmp_path)), CPU)
    assert not (tmp_path / "evil").exists()


def test_missing_data_is_told_with_the_command_that_fetches_it(tmp_path):
    with pytest.raises(ValueError, match=r"lacks data_batch_1.*repro\.ddpm\.data --download"):
        data.load(replace(CIFAR, data_dir=str(tmp_path)), CPU)


# Download


@pytest.fixture
def archive(tmp_path):
    write_cifar(tmp_path / "made", n=2)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(tmp_path / "made/cifar-10-batches-py", "cifar-10-batches-py")
    return packed.getvalue()


@pytest.fixture
def server(archive):
    """Serves the archive; `cut` bytes a connection at most, with or without ranges."""

    class Handler(http.server.BaseHTTPRequestHandler):
        body, cut, ranges, status = archive, 1 << 30, True, 0
        asked: list[str | None] = []

        def do_GET(self):
            self.asked.append(self.headers.get("Range"))
            start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.ranges else 0
            if self.status or start >= len(self.body):
                return self.send_error(self.status or 416)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(self.body) - start))
            self.end_headers()
            self.wfile.write(self.body[start : start + self.cut])

        def log_message(self, *args):
            pass

    Handler.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        Handler.url = f"http://127.0.0.1:{running.server_port}/cifar-10-python.tar.gz"
        yield Handler
        running.shutdown()


def fetch(server, folder, **kw):
    data.download(folder, server.url, hashlib.md5(server.body).hexdigest(), **kw)


def complete(folder):
    return data.load(replace(CIFAR, data_dir=str(folder)), CPU).train.shape == (10, 3, 32, 32)


def test_a_download_is_checked_and_unpacked(server, tmp_path, capsys):
    fetch(server, tmp_path / "a")
    assert complete(tmp_path / "a") and {p.name for p in (tmp_path / "a").iterdir()} == {"cifar-10-batches-py"}
    fetch(server, tmp_path / "a")
    assert len(server.asked) == 1 and "already" in capsys.readouterr().out


def test_a_broken_transfer_goes_on_where_it_was(server, tmp_path):
    server.cut = len(server.body) // 4
    with pytest.raises(SystemExit, match="the same command goes on"):
        fetch(server, tmp_path / "a", tries=2)
    part = tmp_path / "a/cifar-10-python.tar.gz.part"
    assert part.read_bytes() == server.body[: 2 * server.cut]
    fetch(server, tmp_path / "a", tries=5)
    assert complete(tmp_path / "a")
    assert server.asked[:3] == [None, f"bytes={server.cut}-", f"bytes={2 * server.cut}-"]


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/cifar-10-python.tar.gz.part").write_bytes(b"half of something")
    server.ranges = False
    fetch(server, tmp_path / "a")
    assert complete(tmp_path / "a")


def test_all_bytes_there_and_only_the_end_missed(server, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/cifar-10-python.tar.gz.part").write_bytes(server.body)
    fetch(server, tmp_path / "a")
    assert complete(tmp_path / "a")


def test_a_wrong_checksum_is_refused_and_removed(server, tmp_path):
    with pytest.raises(SystemExit, match="MD5"):
        data.download(tmp_path / "a", server.url)
    assert list((tmp_path / "a").iterdir()) == []
    fetch(server, tmp_path / "a")
    assert complete(tmp_path / "a")


def test_offline_and_errors_are_told_in_one_line(server, tmp_path):
    with pytest.raises(SystemExit, match="cannot be fetched now"):
        data.download(tmp_path / "a", "http://127.0.0.1:9/x.tar.gz")
    server.status = 404
    with pytest.raises(SystemExit, match="404"):
        fetch(server, tmp_path / "b")


def test_the_command_line(server, tmp_path, monkeypatch):
    monkeypatch.setattr(data.download, "__defaults__", (data.URL, hashlib.md5(server.body).hexdigest(), 3))
    data.main(["--download", str(tmp_path / "a"), "--url", server.url])
    assert complete(tmp_path / "a")


# Anyone's images


def folder_config(place, **kw):
    return Config(data="folder", data_dir=str(place), image_size=8, channels_of_image=3, **kw)


def test_a_folder_of_pictures_is_cropped_at_its_centre_and_resized(tmp_path):
    for i in range(40):
        picture = np.zeros((16, 32, 3), np.uint8)
        picture[:, 8:24] = (i, 100, 200)  # the centre
        Image.fromarray(picture).save(tmp_path / f"{i:02}.png")
    (tmp_path / "notes.txt").write_text("no picture")
    images = data.load(folder_config(tmp_path), CPU)
    assert images.train.shape == (38, 3, 8, 8) and images.test.shape == (2, 3, 8, 8)
    assert images.test[-1].unique(dim=1).flatten()[:1] == 39 and (images.train[:, 1] == 100).all()
    assert images.train[:, 0, 0, 0].tolist() == list(range(38))
    assert "centre-cropped, resized to 8" in images.name and images.train_labels is None
    grey = data.load(replace(folder_config(tmp_path), channels_of_image=1), CPU)
    assert grey.train.shape == (38, 1, 8, 8)


def test_a_picture_that_cannot_be_read_is_named(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.png cannot be read"):
        data.load(folder_config(tmp_path), CPU)


def test_arrays(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", train=x[:30], test=x[30:])
    alone, both = (data.load(folder_config(tmp_path / f"x.{end}"), CPU) for end in ("npy", "npz"))
    assert (len(alone.train), len(alone.test), len(both.train), len(both.test)) == (38, 2, 30, 10)
    assert torch.equal(both.train, torch.from_numpy(x[:30]).permute(0, 3, 1, 2)) and both.train.is_contiguous()
    np.save(tmp_path / "grey.npy", x[..., 0])
    grey = data.load(replace(folder_config(tmp_path / "grey.npy"), channels_of_image=1), CPU)
    assert grey.train.shape == (38, 1, 8, 8)


@pytest.mark.parametrize(
    ("save", "told"),
    [(lambda p: np.save(p / "x.npy", np.zeros((9, 8, 8, 3))), "must be uint8"),
     (lambda p: np.savez(p / "x.npz", y=np.zeros(3)), "needs an array 'train'"),
     (lambda p: None, "holds 0 pictures")],
)  # fmt: skip
def test_bad_arrays_and_empty_places_are_told(tmp_path, save, told):
    save(tmp_path)
    place = next(tmp_path.glob("x.*"), tmp_path / "nothing")
    with pytest.raises(ValueError, match=told):
        data.load(folder_config(place), CPU)
