"""On a GPU: its kernels against plain arithmetic, captured steps against eager ones, and transformers' Llama."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from decoders import ids, tiny

from repro.lab import checkpoint, hub
from repro.lab.distributed import World
from repro.lab.transformer import KERNELS, attention
from repro.mobilellm.config import Config
from repro.mobilellm.train import Step, make_state

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
SMALL = Config(vocab_size=512, n_layers=4, d_model=128, n_heads=4, n_kv_heads=2, d_ff=256, seq_len=128, batch_size=8,
               warmup=5, lr=3e-3, steps=40)  # fmt: skip


class Repeated:
    """The same few sequences again and again."""

    def __init__(self, config: Config) -> None:
        g = torch.Generator().manual_seed(0)
        self.all = torch.randint(config.vocab_size, (32, config.seq_len + 1), generator=g).cuda()

    def windows(self, rows, length, split="train"):
        return self.all[rows, : length + 1]


def losses(config: Config, n: int) -> torch.Tensor:
    state = make_state(config, World(0, 1, torch.device("cuda")))
    step = Step(config, Repeated(config), state, World(0, 1, torch.device("cuda")))
    found = []
    for i in range(n):
        rows = torch.arange(8 * i, 8 * i + 8, device="cuda") % 32
        found.append(step(i, rows)[0].clone())
    return torch.stack(found).cpu()


def test_attention_is_plain_arithmetic():
    g = torch.Generator("cuda").manual_seed(0)
    for heads, kv in ((9, 3), (4, 4), (8, 1)):
        q = torch.randn(2, heads, 200, 64, device="cuda", generator=g)
        k, v = (torch.randn(2, kv, 200, 64, device="cuda", generator=g) for _ in range(2))
        wide_k, wide_v = (t.double().repeat_interleave(heads // kv, 1) for t in (k, v))
        scores = (q.double() @ wide_k.mT / 8).masked_fill(
            ~torch.ones(200, 200, device="cuda").tril().bool(), -torch.inf
        )
        expected = scores.softmax(-1) @ wide_v
        for dtype, off in ((torch.float32, 1e-3), (torch.bfloat16, 1e-2)):
            got = attention(*(t.to(dtype) for t in (q, k, v))).double()
            assert ((got - expected).norm() / expected.norm()).item() < off, (heads, kv, dtype)


def test_the_first_kernel_takes_grouped_heads():
    """Else attention would fall back, silently, on one that is half as fast."""
    q = torch.randn(2, 9, 256, 64, device="cuda", dtype=torch.bfloat16)
    k, v = (torch.randn(2, 3, 256, 64, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    with torch.nn.attention.sdpa_kernel(KERNELS[:1]):
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def test_captured_steps_follow_eager_ones():
    eager = losses(SMALL, 30)
    captured = losses(replace(SMALL, compile=True), 30)
    in_bf16 = losses(replace(SMALL, compile=True, precision="bf16"), 30)
    torch.testing.assert_close(captured, eager, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(in_bf16, eager, rtol=2e-2, atol=2e-2)
    assert eager[-1] < eager[0] - 0.5


def test_micro_batches_are_one_batch_when_captured():
    one, four = (losses(replace(SMALL, compile=True, accum=n), 20) for n in (1, 4))
    torch.testing.assert_close(four, one, rtol=1e-3, atol=1e-3)


def test_logits_are_those_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = tiny()
    hub.save(ours, tmp_path)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).cuda().eval()
    with torch.no_grad():
        got, expected = ours.cuda()(ids(2, 40).cuda()), theirs(ids(2, 40).cuda()).logits
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)


def test_a_captured_run_that_was_stopped_goes_on_as_if_it_had_not(tmp_path):
    """Its learning rate too, which the graph reads from the device."""
    world, config = World(0, 1, torch.device("cuda")), replace(SMALL, compile=True)

    def take(state, steps):
        step = Step(config, Repeated(config), state, world)
        return [step(i, torch.arange(8 * i, 8 * i + 8, device="cuda") % 32)[0].item() for i in steps]

    whole = take(make_state(config, world), range(20))
    state = make_state(config, world)
    first = take(state, range(8))
    checkpoint.save(state, tmp_path / "last.pt")
    again = make_state(config, world)
    checkpoint.load(again, tmp_path / "last.pt")
    assert first + take(again, range(8, 20)) == pytest.approx(whole, rel=1e-3)
