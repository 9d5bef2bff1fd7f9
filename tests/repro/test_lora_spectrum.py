"""Ranks of changes against matrices whose singular values are known, and how different samples are."""

from __future__ import annotations

import math

import pytest
import torch
from decoders import TINY, tiny

from repro.lab import hub
from repro.lora_forgetting.diversity import distinct_n, diversity, pairwise_distance
from repro.lora_forgetting.spectrum import changes, energies, low_rank, rank_for, spectra, spectrum, split, summary

torch.set_num_threads(1)


def with_values(values: list[float], rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """A matrix with these singular values, in directions of chance."""
    g = torch.Generator().manual_seed(seed)
    u = torch.linalg.qr(torch.randn(rows, len(values), generator=g, dtype=torch.float64))[0]
    v = torch.linalg.qr(torch.randn(columns, len(values), generator=g, dtype=torch.float64))[0]
    return (u * torch.tensor(values, dtype=torch.float64)) @ v.T


@pytest.mark.parametrize("size", [(7, 12), (12, 7), (9, 9)])
def test_energies_are_squared_singular_values(size):
    values = [5.0, 3.0, 1.0, 0.5, 1e-3]
    found = energies(with_values(values, *size))
    assert found.dtype == torch.float64 and len(found) == min(size)
    assert found[:5].tolist() == pytest.approx([v * v for v in values], rel=1e-9)
    assert float(found[5:].abs().max()) < 1e-12
    single = with_values(values, *size).float()
    assert torch.allclose(energies(single), torch.linalg.svdvals(single.double()).square(), atol=1e-12)


@pytest.mark.parametrize(
    ("values", "fraction", "rank"),
    [
        ([3.0, 1.0], 0.9, 1),  # 9 of 10: exactly the fraction
        ([3.0, 1.0], 0.91, 2),
        ([1.0] * 10, 0.9, 9),
        ([1.0] * 10, 1.0, 10),
        ([2.0, 2.0, 1.0], 0.9, 3),  # energies 4, 4, 1: two hold .89
        ([10.0, 1.0, 1.0], 0.9, 1),  # .98 of the energy, and .83 of the plain sum
        ([0.0, 0.0], 0.9, 0),
    ],
)
def test_the_rank_that_holds_a_fraction(values, fraction, rank):
    assert rank_for(torch.tensor(values).square(), fraction) == rank
    assert rank_for(energies(with_values(values, 12, 14)), fraction - 1e-9) == rank


def test_a_fraction_is_one():
    for fraction in (0.0, 1.5, -1.0):
        with pytest.raises(ValueError, match="fraction"):
            rank_for(torch.ones(3), fraction)


def test_a_change_is_told_by_the_fields_modules():
    """q, k and v of a fused matrix have their own ranks, under the names and with the rows of a checkpoint."""
    before, shape = tiny(), TINY
    after = tiny()
    ranks = {"self_attn.q_proj": 3, "self_attn.k_proj": 1, "self_attn.v_proj": 2, "self_attn.o_proj": 5}
    ranks |= {"mlp.gate_proj": 4, "mlp.up_proj": 7, "mlp.down_proj": 6}
    with torch.no_grad():
        for name, weight in after.named_parameters():
            if weight.dim() == 2 and name.startswith("blocks.1."):
                for i, (module, part) in enumerate(split(name, weight, shape)):
                    rank = ranks[module.removeprefix("model.layers.1.")]
                    part += with_values([1.0] * rank, *part.shape, seed=i).float()
    found = {s.module: s for s in spectra(changes(before.state_dict(), after.state_dict(), shape), 0.999)}
    theirs = {name.removesuffix(".weight") for name, _ in hub._tensors(before)}
    assert set(found) == {name for name in theirs if name.endswith("_proj")}
    for module, of in found.items():
        part = module.split(".", 3)[3]
        assert of.rank == (ranks[part] if ".1." in module else 0), module
        assert of.layer == int(module.split(".")[2])
        assert of.kind == ("attention" if "self_attn" in module else "mlp")
        assert of.full == min(dict(hub._tensors(before))[f"{module}.weight"].shape)
        assert of.norm == pytest.approx(math.sqrt(of.rank), rel=1e-4)
        assert of.spectral == pytest.approx(float(of.rank > 0), rel=1e-4)
    said = summary(found.values())
    assert said["rank_attention"] == (3 + 1 + 2 + 5) / 4 and said["rank_mlp"] == (4 + 7 + 6) / 3
    assert said["rank_fraction_attention"] == pytest.approx((3 / 48 + 1 / 16 + 2 / 16 + 5 / 48) / 4)


def test_parts_are_those_of_a_checkpoint():
    decoder = tiny()
    whole = dict(hub._tensors(decoder))
    parts = [part for name, w in decoder.named_parameters() if "blocks" in name for part in split(name, w, TINY)]
    assert all(torch.equal(whole[f"{name}.weight"], part) for name, part in parts)
    assert len(parts) == 9 * 3


def test_both_ends_of_a_change_have_the_same_matrices():
    decoder, wider = tiny(), tiny(d_ff=96)
    less = {name: w for name, w in decoder.state_dict().items() if name != "blocks.2.ffn.down.weight"}
    for after in (wider.state_dict(), less):
        with pytest.raises(ValueError, match="blocks.*ffn"):
            list(changes(decoder.state_dict(), after, TINY))
    assert summary(spectra(changes(decoder.state_dict(), decoder.state_dict(), TINY))) == {}


def test_an_adapters_change_is_at_most_its_rank():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(4, 40, generator=g), torch.randn(30, 4, generator=g)
    change = low_rank(a, b, scaling=2.0)
    assert change.shape == (30, 40)
    assert torch.allclose(change, 2.0 * b.double() @ a.double(), rtol=1e-12)
    found = spectrum("model.layers.3.mlp.up_proj", change, 1 - 1e-9)
    assert (found.rank, found.full, found.layer, found.kind) == (4, 30, 3, "mlp")
    # the norm of B A without making it: the trace of (B' B)(A A')
    trace = torch.trace((b.double().T @ b.double()) @ (a.double() @ a.double().T))
    assert found.norm == pytest.approx(2.0 * float(trace.sqrt()), rel=1e-12)
    assert spectrum("model.layers.3.mlp.up_proj", low_rank(a, torch.zeros(30, 4), 2.0)).rank == 0


# Samples


def test_distinct_n_counts_n_grams_once():
    samples = [["a", "b", "a", "b"], ["a", "b"]]
    assert distinct_n(samples, 1) == 2 / 6
    assert distinct_n(samples, 2) == 2 / 4  # ab ba ab, ab
    assert distinct_n(samples, 4) == 1.0
    assert math.isnan(distinct_n(samples, 5))


def test_pairwise_distance_is_jaccards():
    a, b, c = "abcd", "abce", "xyz"
    assert pairwise_distance([a, b]) == 1 - 2 / 4  # ab bc of ab bc cd ce
    assert pairwise_distance([a, a]) == 0.0
    assert pairwise_distance([a, b, c]) == pytest.approx((0.5 + 1 + 1) / 3)
    assert pairwise_distance(["x", "y"], n=2) == 0.0  # nothing to compare
    assert math.isnan(pairwise_distance([a]))


def test_diversity_is_a_mean_over_prompts():
    same, other = ["x y z w v"] * 4, ["a b c d e", "f g h i j", "a b c d e", "k l m n o"]
    found = diversity([same, other])
    assert found["samples"] == 4 and found["unique"] == (1 + 3) / 2
    assert found["distinct_1"] == pytest.approx((5 / 20 + 15 / 20) / 2)
    assert found["pairwise_distance"] == pytest.approx((0 + 5 / 6) / 2)
    assert diversity([["ab", "cd"]], split=list)["distinct_1"] == 1.0
    for few in ([], [["one"]], [same, ["one"]]):
        with pytest.raises(ValueError, match="two samples"):
            diversity(few)
