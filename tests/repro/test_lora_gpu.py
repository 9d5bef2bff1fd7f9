"""On a GPU: captured and compiled steps of LoRA and of LionW against eager ones, thin products against thick."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend

from repro.lab import lora, transformer
from repro.lab.distributed import World
from repro.lab.recipe import Command
from repro.lab.transformer import Decoder, Shape, TokenLoss
from repro.lora_forgetting.config import Config
from repro.lora_forgetting.cost import Size, ours, timed
from repro.lora_forgetting.data import Domain
from repro.lora_forgetting.experiment import Experiment, make_state
from repro.lora_forgetting.model import arm_of, first
from repro.lora_forgetting.train import Step, train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]
SMALL = Config(symbols=62, d_model=128, n_layers=3, n_heads=4, d_ff=256, seq_len=128, batch_size=8, r=8, lr=1e-2,
               steps=30)  # fmt: skip


@pytest.fixture(autouse=True)
def every_version_is_compiled():
    """Where Dynamo has seen too many versions of a block, it would run it uncompiled without a word."""
    torch.compiler.reset()
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield


def losses(config: Config) -> torch.Tensor:
    w = World(0, 1, torch.device("cuda"))
    tokens = torch.randint(64, (32, config.seq_len + 1), generator=torch.Generator().manual_seed(0)).cuda()
    domain = Domain("", 32, lambda rows: tokens[rows], tokens, rows_on="cuda")
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
    torch.compiler.reset()  # or it would not be asked again
    torch.testing.assert_close(losses(replace(SMALL, compile=True)), whole, rtol=2e-3, atol=2e-3)


def gradients(how: str, length: int) -> torch.Tensor:
    """In bf16, as cuDNN takes it: of adapters that were moved from their zeros, or of all weights."""
    torch.manual_seed(0)
    decoder = Decoder(Shape(64, 128, 2, 2, 1, 256, 512))
    if how == "lora":
        for layer in lora.layers(lora.adapt(decoder, lora.LoRA(8, 16.0))).values():
            torch.nn.init.normal_(layer.lora_B, std=0.1)
    net = TokenLoss(decoder.cuda())
    tokens = torch.randint(64, (4, length + 1), generator=torch.Generator().manual_seed(1)).cuda()
    with torch.autocast("cuda", torch.bfloat16):
        total, count = net(tokens)
    (total / count).backward()
    return torch.cat([p.grad.flatten() for p in lora.trained(net)])


@pytest.mark.parametrize(("first", "then", "length"), [("lora", "full", 256), ("full", "lora", 384)])
def test_gradients_do_not_depend_on_what_was_trained_before(first, then, length, monkeypatch):
    """PyTorch keeps cuDNN's plans by the layouts of q, k and v, and not of the gradient that arrives."""
    gradients(first, length)
    found = gradients(then, length)
    monkeypatch.setattr(transformer, "KERNELS", [SDPBackend.FLASH_ATTENTION])
    expected = gradients(then, length)
    assert (found - expected).norm() < 0.03 * expected.norm()


def test_dropout_and_micro_batches_are_captured():
    found = losses(replace(SMALL, compile=True, dropout=0.1, accum=2))
    assert found.isfinite().all() and found[-1] < found[0] - 0.05


def test_many_arms_in_one_run_are_all_compiled(tmp_path, monkeypatch):
    """More versions of a block than Dynamo may keep here, one stage after another; and a stage leaves no graph on the
    GPU: the last holds what the first arm held. A graph's pool has 300 MB."""
    config = replace(
        SMALL, n_layers=2, batch_size=128, arms=("r2 r=2", "r3 r=3", "r4 r=4"), compile=True, base_steps=3,
        control_steps=3, steps=3,
    )  # fmt: skip
    held, end = [], Experiment.end

    def watched(self, stage, state):
        end(self, stage, state)
        torch._C._cuda_clearCublasWorkspaces()  # cuBLAS has one for each stream and thread that it worked in
        torch.cuda.empty_cache()
        held.append(torch.cuda.memory_reserved())

    monkeypatch.setattr(Experiment, "end", watched)
    with torch._dynamo.config.patch(recompile_limit=4):
        train(Command("tiny", config, tmp_path / "run", float("inf")), World(0, 1, torch.device("cuda")))
    assert len(held) == 5 and held[4] <= held[2] + (64 << 20), held


def test_what_a_step_takes_counts_its_activations():
    """They lie in the graph's own pool, where nothing is allocated any more."""
    step = ours(Size(Shape(512, 256, 4, 4, 2, 512, 512), 16, 512), "full")
    step()
    stream = 16 * 512 * 256 * 2  # bytes of one of the many that are kept for the gradient
    assert timed(step, 0.1)[1] * 2**30 > torch.cuda.memory_allocated() + 20 * stream
