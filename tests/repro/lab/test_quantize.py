"""Rounding to a few bits."""

from __future__ import annotations

import pytest
import torch
from decoders import ids, tiny

from repro.lab.quantize import quantized, rounded

torch.set_num_threads(1)


def naive(row: list[float], bits: int) -> list[float]:
    most = 2 ** (bits - 1) - 1
    step = max(abs(v) for v in row) / most
    return [round(v / step) * step for v in row]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_each_row_is_rounded_to_its_own_grid(bits):
    x = torch.randn(5, 33, generator=torch.Generator().manual_seed(0)) * torch.tensor([1e-3, 1, 7, 1e4, 0.1])[:, None]
    got = rounded(x, bits)
    step = x.abs().amax(-1, keepdim=True) / (2 ** (bits - 1) - 1)
    assert ((got - x).abs() <= 0.5001 * step).all()
    for row, mine in zip(x.tolist(), got.tolist(), strict=True):
        assert mine == pytest.approx(naive(row, bits), rel=1e-5)
        assert len(set(mine)) <= 2**bits - 1


def test_what_is_on_the_grid_stays_and_zeros_make_no_nan():
    x = torch.tensor([[-127.0, -3.0, 0.0, 64.0, 127.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    assert torch.equal(rounded(x, 8), x)


def test_a_quantized_copy_leaves_the_decoder_and_its_embedding():
    decoder = tiny()
    before = {name: p.clone() for name, p in decoder.named_parameters()}
    copy = quantized(decoder)
    with torch.no_grad():
        exact, narrow, wide = decoder(ids(2, 30)), copy(ids(2, 30)), quantized(decoder, 20)(ids(2, 30))
    assert all(torch.equal(p, before[name]) for name, p in decoder.named_parameters())
    assert torch.equal(copy.embed.weight, decoder.embed.weight)
    off = ((narrow - exact).norm() / exact.norm()).item()
    assert 1e-3 < off < 0.1
    assert ((wide - exact).norm() / exact.norm()).item() < 1e-3 * off + 1e-5


def test_every_linear_layer_of_the_blocks_is_rounded():
    copy = quantized(tiny(), 4)
    for block in copy.blocks:
        for layer in (block.attn.qkv, block.attn.out, block.ffn.gate_up, block.ffn.down):
            assert all(len(row.unique()) <= 15 for row in layer.weight)
    x = torch.randn(3, 48)
    layer, plain = copy.blocks[0].attn.out, tiny().blocks[0].attn.out
    expected = rounded(x, 4) @ rounded(plain.weight.detach(), 4).T
    torch.testing.assert_close(layer(x), expected)
