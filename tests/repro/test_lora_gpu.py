"""On a GPU: captured and compiled steps of LoRA and of LionW against eager ones, thin products against thick."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from repro.lab import lora
from repro.lab.distributed import World
from repro.lora_forgetting.config import Config
from repro.lora_forgetting.data import Domain
from repro.lora_forgetting.model import arm_of, first
from repro.lora_forgetting.train import Step, make_state

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
SMALL = Config(symbols=62, d_model=128, n_layers=3, n_heads=4, d_ff=256, seq_len=128, batch_size=8, r=8, lr=1e-2,
               steps=30)  # fmt: skip


def losses(config: Config) -> torch.Tensor:
    w = World(0, 1, torch.device("cuda"))
    tokens = torch.randint(64, (32, config.seq_len + 1), generator=torch.Generator().manual_seed(0)).cuda()
    domain = Domain("", 32, lambda rows: tokens[rows], tokens)
    decoder = first(config).cuda()
    torch.manual_seed(1)
    state = make_state(config, arm_of(config, decoder), w)
    step, found = Step(config, domain, state, w), []
    for i in range(config.steps):
        torch.manual_seed(i)
        found.append(step(i, torch.arange(8 * i, 8 * i + 8, device="cuda") % 32)[0].clone())
    return torch.stack(found).cpu()


@pytest.mark.parametrize(
    "config",
    [SMALL, replace(SMALL, method="full", lr=1e-3), replace(SMALL, optimizer="lionw", lr=1e-3, weight_decay=0.01),
     replace(SMALL, targets=("q_proj", "v_proj", "up_proj"))],
    ids=["lora", "full", "lion", "some"],
)  # fmt: skip
def test_captured_steps_follow_eager_ones(config):
    eager = losses(config)
    torch.testing.assert_close(losses(replace(config, compile=True)), eager, rtol=2e-3, atol=2e-3)
    in_bf16 = losses(replace(config, compile=True, precision="bf16"))
    torch.testing.assert_close(in_bf16, eager, rtol=3e-2, atol=3e-2)
    assert eager[-1] < eager[0] - 0.05


def test_thin_products_are_thick_ones(monkeypatch):
    whole = losses(replace(SMALL, compile=True))
    monkeypatch.setattr(lora, "is_thin", lambda *sizes: False)
    torch.compiler.reset()
    torch.testing.assert_close(losses(replace(SMALL, compile=True)), whole, rtol=2e-3, atol=2e-3)


def test_dropout_and_micro_batches_are_captured():
    found = losses(replace(SMALL, compile=True, dropout=0.1, accum=2))
    assert found.isfinite().all() and found[-1] < found[0] - 0.05
