"""On a GPU: the kernel that attends to a cache against the plain way of doing so."""

from __future__ import annotations

import pytest
import torch

from repro.lab import transformer
from repro.lab.generate import Generator
from repro.lab.transformer import Context, Decoder, Shape, attend_cached, rope_table, rotate

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
SHAPES = [
    (3, 1, 9, 3, 64, 160),
    (2, 4, 4, 2, 32, 304),
    (2, 1, 8, 1, 64, 48),
    (2, 5, 6, 6, 128, 32),
    (1, 8, 8, 1, 64, 640),
    (64, 1, 9, 3, 64, 160),  # so many programs that each takes smaller blocks
]


@pytest.mark.parametrize("dtype, off", [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("B, T, H, K, E, S", SHAPES)
def test_one_launch_does_what_four_do(B, T, H, K, E, S, dtype, off):
    from repro.lab.decode_kernel import attend_next

    torch.manual_seed(0)
    torch.set_default_device("cuda")
    try:
        first = torch.tensor([0, S - T, 7]).repeat(-(-B // 3))[-B:]
        positions = first[:, None] + torch.arange(T)
        qkv = torch.randn(B, T, H + 2 * K, E).to(dtype)
        plain = [torch.randn(B, S, K, E).to(dtype) for _ in range(2)]
        mine = [t.clone() for t in plain]
        turn = rope_table(1024, E, 1e4).cuda()[:, positions]
        got = attend_next(qkv, turn, positions, *mine)
        q, k, v = qkv.split((H, K, K), 2)
        seen = torch.arange(S) <= positions[:, None, :, None]
        bias = torch.zeros_like(seen, dtype=torch.float64).masked_fill_(~seen, -torch.inf)
        wide = tuple(t.double() for t in plain)
        q, k = rotate(q, turn), rotate(k, turn)
        want = attend_cached(q.double(), k.double(), v.double(), wide, Context(turn, positions, bias)).transpose(1, 2)
    finally:
        torch.set_default_device("cpu")
    assert ((got - want).norm() / want.norm()).item() < off
    for cache, expected in zip(mine, wide, strict=True):
        torch.testing.assert_close(cache.double(), expected, rtol=0, atol=0.02 if dtype == torch.bfloat16 else 1e-6)


@pytest.mark.parametrize("d_model", [128, 256])
def test_a_captured_generator_follows_the_plain_one(d_model, monkeypatch):
    torch.manual_seed(0)
    decoder = Decoder(Shape(211, d_model, 3, 4, 2, 300, max_seq_len=256)).cuda().eval()
    prompts = [[3, 1, 4, 1, 5], [9, 2], [6] * 40]
    captured = Generator(decoder, 3, 200)
    for _ in range(2):
        got = captured(prompts, 150)
        monkeypatch.setattr(transformer, "_attend_next", None)
        plain = Generator(decoder, 3, 200, capture=False)(prompts, 150)
        monkeypatch.undo()
        assert got == plain
        prompts = [[7], [1, 2, 3, 4], [8, 8]]
