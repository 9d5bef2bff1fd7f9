"""Measures: bits, distances, figures, and the way to the real FID."""

from __future__ import annotations

import json
import math
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import linalg

from repro.ddpm import data, eval, features, fid, figures, train
from repro.ddpm.config import Config
from repro.ddpm.data import Images
from repro.ddpm.diffusion import Diffusion, linear_betas
from repro.ddpm.model import build
from repro.lab.data import batch_indices
from repro.lab.distributed import World

torch.set_num_threads(1)
CPU = torch.device("cpu")
TINY = Config(channels=8, mult=(1,), n_steps=40, eval_images=6, samples=9, batch_size=8, steps=3)


def patches():
    return data.load(TINY, CPU)


def network(config=TINY):
    torch.manual_seed(0)
    made = build(config)
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.05)
    return made.eval()


def test_the_bound_is_the_sum_over_all_steps_and_its_parts_add_up():
    chain, net, images = Diffusion(linear_betas(40)), network(), patches()
    bound = eval.measure_bound(TINY, chain, net, images.test)
    x0 = data.to_float(images.test[:6])
    terms, errors = chain.bound(net, x0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(bound.terms, terms.double().mean(1))
    torch.testing.assert_close(bound.errors, errors.double().mean(1))
    m = bound.metrics
    prior = float(chain.prior_bits(x0).mean())
    assert m["bits_per_dim"] == pytest.approx(float(terms.mean(1).sum()) + prior, rel=1e-5)
    assert m["rate_bits"] + m["distortion_bits"] == pytest.approx(m["bits_per_dim"])
    assert m["distortion_bits"] == pytest.approx(float(terms[0].mean()), rel=1e-5) and m["prior_bits"] == prior
    assert m["distortion_share"] == pytest.approx(m["distortion_bits"] / m["bits_per_dim"])
    assert m["rate_last_tenth_share"] == pytest.approx(float(terms[1:4].mean(1).sum()) / m["rate_bits"], rel=1e-5)
    assert m["rmse_255"] == pytest.approx(127.5 * math.sqrt(errors[0].mean()), rel=1e-5)
    assert m["rmse_255_t20"] == pytest.approx(127.5 * math.sqrt(errors[20].mean()), rel=1e-5)
    small = Diffusion(linear_betas(40), variance="fixed_small").bound(net, x0, torch.Generator().manual_seed(0))[0]
    assert m["bits_per_dim_fixed_small"] == pytest.approx(float(small.mean(1).sum()) + prior, rel=1e-5)


def test_the_bound_does_not_depend_on_the_batch_it_is_measured_in(monkeypatch):
    """Other noise, the same quantity."""
    config, images = replace(TINY, eval_images=200), patches()
    one = eval.measure_bound(config, Diffusion(linear_betas(40)), network(), images.test).metrics
    monkeypatch.setattr(eval, "BATCH", 75)
    many = eval.measure_bound(config, Diffusion(linear_betas(40)), network(), images.test).metrics
    assert one["bits_per_dim"] == pytest.approx(many["bits_per_dim"], rel=0.03)


def test_learned_variances_have_no_other_variance_to_compare_with():
    config = replace(TINY, variance="learned", prediction="mu")
    metrics = eval.measure_bound(
        config, Diffusion(linear_betas(40), "mu", "learned"), network(config), patches().test
    ).metrics
    assert "bits_per_dim_fixed_small" not in metrics and math.isfinite(metrics["bits_per_dim"])


def test_the_stratified_estimate_agrees_with_the_whole_bound_within_its_error():
    config, images = replace(TINY, n_steps=400, eval_images=32), patches()
    chain, net = Diffusion(linear_betas(400)), network()
    whole = eval.measure_bound(config, chain, net, images.test).metrics
    error = whole["bits_per_dim_stratified_se"]
    assert 0 < error < 0.1 * whole["bits_per_dim"]
    assert abs(whole["bits_per_dim_stratified"] - whole["bits_per_dim"]) < 4 * error


def test_samples_are_reproducible_whatever_ran_before():
    chain, net = Diffusion(linear_betas(40)), network()
    one = eval.draw(TINY, chain, net, CPU)
    torch.randn(5)
    two = eval.draw(TINY, chain, net, CPU)
    assert torch.equal(one.images, two.images) and one.images.shape == (9, 1, 8, 8) and one.images.dtype == torch.uint8
    assert sorted(one.on_the_way) == list(range(0, 40, 4))
    assert not torch.equal(one.images, eval.draw(replace(TINY, seed=1), chain, net, CPU).images)


def test_frechets_distance_against_scipys_matrix_root():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 12)), rng.normal(0.3, 1.5, size=(200, 12)) @ rng.normal(size=(12, 12))
    A, B = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(A @ B).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(A + B - 2 * root)
    ours = features.frechet(*(features.moments(torch.from_numpy(x)) for x in (a, b)))
    assert ours == pytest.approx(expected, rel=1e-6)
    assert features.frechet(*[features.moments(torch.from_numpy(a))] * 2) == pytest.approx(0, abs=1e-9)


def test_pixels_of_larger_images_are_averaged_to_8_by_8():
    x = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    assert features.pixels(x).shape == (3, 192)
    assert features.pixels(x)[0, 0].item() == pytest.approx(data.to_float(x)[0, 0, :4, :4].mean().item(), abs=1e-5)
    assert torch.equal(features.pixels(x[:, :, :8, :8]), data.to_float(x[:, :, :8, :8]).flatten(1))


def test_the_class_score_lies_between_one_and_the_number_of_classes():
    even = torch.full((20, 10), 0.1)
    assert features.class_score(even) == pytest.approx(1.0)
    assert features.class_score(torch.eye(10).repeat(2, 1)) == pytest.approx(10.0, rel=1e-6)
    assert features.class_score(torch.eye(10)[[3] * 20]) == pytest.approx(1.0, rel=1e-6)


def labelled(n=120):
    """Pictures of ten classes that differ in colour."""
    g = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 10
    base = torch.rand(10, 3, 1, 1, generator=g)[labels]
    x = ((base * 0.8 + 0.2 * torch.rand(n, 3, 16, 16, generator=g)) * 255).to(torch.uint8)
    return Images(x[: n // 2], x[n // 2 :], "colours, sha256 abc", labels[: n // 2], labels[n // 2 :])


def test_the_classifier_learns_and_is_kept_beside_the_runs(tmp_path, monkeypatch):
    images = labelled()
    before = torch.get_rng_state()
    model = features.classifier(images, tmp_path, steps=25)
    assert torch.equal(before, torch.get_rng_state())  # the run's own chance is left alone
    found, probabilities = features.class_features(model, images.test)
    assert found.shape == (60, 128)
    assert (probabilities.argmax(1) == images.test_labels).float().mean() > 0.5
    monkeypatch.setattr(features, "train_classifier", lambda *a, **k: pytest.fail("trained again"))
    again = features.classifier(images, tmp_path, steps=25)
    torch.testing.assert_close(features.class_features(again, images.test)[0], found)


def test_labelled_images_are_measured_in_features_and_never_called_fid(tmp_path, monkeypatch):
    images = labelled()
    trained = features.classifier(images, tmp_path, steps=10)
    monkeypatch.setattr(features, "classifier", lambda *a: trained)
    metrics = eval.measure_samples(
        eval.Samples(images.test[:20], {4: images.test[:20], 0: images.test[:20]}), images, tmp_path
    )
    assert set(metrics) == {"class_score", "class_score_real", "feature_fd", "feature_fd_floor", "feature_fd_x0_t4"}
    assert metrics["feature_fd"] == pytest.approx(metrics["feature_fd_floor"])
    noise = torch.randint(0, 256, images.test.shape, dtype=torch.uint8)
    worse = eval.measure_samples(eval.Samples(noise, {}), images, tmp_path)
    assert worse["feature_fd"] > 3 * metrics["feature_fd"]


def test_evaluate_gives_metrics_and_figures_and_raw_weights_beside_them(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    chain = Diffusion(linear_betas(40))
    metrics, names = eval.evaluate(TINY, chain, network(), patches(), folder, CPU, "x-s0", raw=network())
    assert metrics["raw_pixel_fd"] == pytest.approx(metrics["pixel_fd"])
    assert all(math.isfinite(v) for v in metrics.values()) and "raw_pixel_fd_floor" not in metrics
    assert sorted(p.name for p in folder.iterdir()) == sorted(names) and len(names) == 3
    for name in names:
        assert name.startswith("x-s0-") and name.endswith(".png")
        assert (folder / name).stat().st_size <= 200_000
        Image.open(folder / name).verify()


@pytest.mark.parametrize(("channels", "size", "n"), [(3, 32, 64), (3, 256, 64), (1, 8, 64), (3, 8, 7)])
def test_grids_stay_small_even_for_noise(tmp_path, channels, size, n):
    x = torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8)
    figures.grid(x, 8 if n == 64 else 2, tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size <= 200_000
    assert Image.open(tmp_path / "x.png").mode == ("L" if channels == 1 else "RGB")


# The whole way


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    args = "smoke --steps 4 --n-steps 20 --eval-images 8 --samples 9 --batch-size 16 --log-every 1 --warmup 2 --accum 2"
    train.main([*args.split(), "--out", str(out)])
    return out


def test_smoke_runs_from_the_command_line_to_its_record(trained):
    record = json.loads((trained / "record.json").read_text())
    assert record["done"] and record["recipe"] == "smoke+" and record["paper"] == "ddpm"
    assert "patches" in record["data"] and record["curve"]["step"] == [0, 1, 2, 3]
    wanted = "bits_per_dim rate_bits distortion_bits prior_bits distortion_share rmse_255 rate_last_tenth_share"
    wanted += " bits_per_dim_fixed_small bits_per_dim_stratified bits_per_dim_stratified_se pixel_fd pixel_fd_floor"
    assert set(wanted.split()) <= set(record["metrics"])
    assert not [k for k in record["metrics"] if "fid" in k]
    assert all((trained / name).is_file() for name in record["figures"]) and len(record["figures"]) == 3
    assert len(json.dumps(record, indent=1)) < 10_000


def test_a_kept_checkpoint_measures_the_same_again(trained, capsys):
    eval.main([str(trained), "--device", "cpu"])
    said = dict(line.split() for line in capsys.readouterr().out.splitlines())
    record = json.loads((trained / "record.json").read_text())
    for name, value in record["metrics"].items():
        assert float(said[name]) == pytest.approx(value, rel=1e-4, abs=1e-9), name


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(SystemExit, match="holds no run"):
        eval.main([str(tmp_path)])


# Real FID, up to the weights


def test_without_the_library_fid_says_what_it_needs(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(SystemExit, match="pip install torch-fidelity"):
        eval.main([str(trained), "--fid", "cifar10-train", "--device", "cpu"])


@pytest.fixture
def library(monkeypatch):
    """torch-fidelity, as far as it is called."""
    called = {}

    def calculate_metrics(**kw):
        called.update(kw)
        called["pictures"] = sorted(p.name for p in fid.Path(kw["input1"]).iterdir())
        if called.get("fails"):
            raise OSError("no network")
        return {"frechet_inception_distance": 3.17, "inception_score_mean": 9.46, "inception_score_std": 0.1}

    module = types.ModuleType("torch_fidelity")
    module.calculate_metrics = calculate_metrics
    monkeypatch.setitem(sys.modules, "torch_fidelity", module)
    monkeypatch.setattr(fid.importlib.metadata, "version", lambda name: "0.3.0")
    return called


def test_fid_records_what_was_compared(trained, library, tmp_path, capsys):
    out = tmp_path / "run"
    out.mkdir()
    for name in ("record.json", "last.pt"):
        (out / name).write_bytes((trained / name).read_bytes())
    weights = tmp_path / "inception.pth"
    weights.write_bytes(b"weights")
    eval.main([str(out), "--fid", "cifar10-train", "--inception", str(weights), "--device", "cpu"])
    assert library["input2"] == "cifar10-train" and library["feature_extractor_weights_path"] == str(weights)
    assert len(library["pictures"]) == 9
    assert Image.open(out / "samples/000000.png").mode == "RGB"
    record = json.loads((out / "record.json").read_text())
    assert record["metrics"]["fid"] == 3.17 and record["metrics"]["fid_samples"] == 9
    assert record["fid"]["reference"] == "cifar10-train" and "sha256" in record["fid"]["inception"]
    assert json.loads((out / "fid.json").read_text())["fid"] == 3.17
    assert "fid" in capsys.readouterr().out


def test_fid_without_weights_says_how_to_name_them(trained, library, tmp_path):
    with pytest.raises(SystemExit, match="Inception's weights"):
        fid.measure(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "x", tmp_path, tmp_path / "none.pth")
    library["fails"] = True
    with pytest.raises(SystemExit, match="--inception FILE"):
        fid.measure(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "x", tmp_path, None)


def test_training_learns():
    """The loss begins at 1, the variance of the noise, and falls."""
    config = replace(TINY, channels=16, mult=(1, 2), n_steps=1000, batch_size=64, lr=2e-3, warmup=10)
    images, state = patches(), train.make_state(config, CPU)
    take = train.Step(config, images.train, Diffusion(linear_betas()), state, World(0, 1, CPU))
    losses = [take(i, batch_indices(20_000, 64, 0, i))[0].item() for i in range(60)]
    assert losses[0] == pytest.approx(1, abs=0.1) and sum(losses[-10:]) / 10 < 0.6
