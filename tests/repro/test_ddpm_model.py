"""The network: counts, beginnings, one head, and diffusers' UNet2DModel with the same weights."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro.ddpm.config import RECIPES, Config
from repro.ddpm.model import Attention, Downsample, ResBlock, UNet, build, time_embedding

torch.set_num_threads(1)
PAPER = {"paper-cifar10": 35_746_307, "paper-celebahq256": 113_673_219}
GIB = 2**30
ROOT = Path(__file__).parents[2]


def small(**kw):
    return UNet(**({"image_size": 8, "in_channels": 1, "out_channels": 1, "channels": 16, "mult": (1, 2), "blocks": 1,
                    "attention": (4,), "dropout": 0.0} | kw))  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipes_network_keeps_the_shape(recipe):
    config = RECIPES[recipe].config
    with torch.device("meta"):
        network = build(config)
        x = torch.zeros(2, config.channels_of_image, config.image_size, config.image_size)
        out = network(x, torch.zeros(2, dtype=torch.long))
    assert out.shape == (2, x.shape[1] * (2 if config.variance == "learned" else 1), *x.shape[2:])


@pytest.mark.parametrize("recipe", PAPER)
def test_published_networks_have_their_counts(recipe):
    with torch.device("meta"):
        assert sum(p.numel() for p in build(RECIPES[recipe].config).parameters()) == PAPER[recipe]


def saved_bytes(config: Config, batch: int) -> int:
    """What the forward pass keeps for the backward pass, counted on the meta device, each storage once."""
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.device("meta"):
        network = build(config)
        parameters = {p.untyped_storage()._cdata for p in network.parameters()}
        x = torch.zeros(batch, config.channels_of_image, config.image_size, config.image_size)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network(x, torch.zeros(batch, dtype=torch.long)).sum()
    return sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in parameters)


@pytest.mark.parametrize("recipe", PAPER)
def test_published_recipes_say_how_much_memory_they_take(recipe):
    config = RECIPES[recipe].config
    one, two = (saved_bytes(config, n) for n in (1, 2))
    states = 5 * 4 * PAPER[recipe]  # weights, gradients, two moments, moving average, 4 bytes each
    gib = (states + (two - one) * config.batch_size) / GIB
    told = re.search(r"about ([\d.]+) GiB", RECIPES[recipe].says)
    assert told and float(told[1]) == pytest.approx(gib, rel=0.1)


def flops(config: Config) -> int:
    """Of one image's forward pass, a multiplication with its addition as two."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        x = torch.zeros(1, config.channels_of_image, config.image_size, config.image_size)
        build(config)(x, torch.zeros(1, dtype=torch.long))
    return counter.get_total_flops()


@pytest.mark.parametrize("recipe", PAPER)
def test_published_recipes_cost_what_our_measured_speed_says(recipe):
    """Steps x batch at the speed of the training step; samples and the bound's 1000 terms at that of the forward pass;
    a network of another size at the same arithmetic a second."""
    lines = (ROOT / "benchmarks/results/ddpm-h100.jsonl").read_text().splitlines()
    speed = {(row["case"], row["what"]): row["value"] for row in map(json.loads, lines)}
    config, measured = RECIPES[recipe].config, RECIPES["paper-cifar10"].config
    size = flops(config) / flops(measured)
    train = config.steps * config.batch_size / speed["ours, captured", "training step, batch 128"]
    look = (config.samples + config.eval_images) * config.n_steps / speed["ours", "forward alone, batch 128"]
    assert RECIPES[recipe].minutes == pytest.approx(size * (train + look) / 60, rel=0.02)
    assert "H100" in RECIPES[recipe].hardware


def test_published_recipes_are_as_published():
    c = RECIPES["paper-cifar10"].config
    assert (c.image_size, c.channels, c.mult, c.blocks, c.attention) == (32, 128, (1, 2, 2, 2), 2, (16,))
    assert (c.dropout, c.flips, c.ema, c.lr, c.warmup, c.batch_size, c.steps) == (
        0.1,
        True,
        0.9999,
        2e-4,
        5000,
        128,
        800_000,
    )
    assert (c.n_steps, c.prediction, c.variance, c.loss, c.samples) == (1000, "eps", "fixed_large", "simple", 50_000)
    h = RECIPES["paper-celebahq256"].config
    assert (h.image_size, h.channels, h.mult, h.blocks, h.attention) == (256, 128, (1, 1, 2, 2, 4, 4), 2, (16,))
    assert (h.dropout, h.flips, h.ema, h.lr, h.batch_size, h.steps) == (0.0, True, 0.9999, 2e-5, 64, 500_000)


def test_weights_begin_uniform_with_variance_one_over_the_mean_fan():
    torch.manual_seed(0)
    network = small(channels=64, mult=(1, 2))
    quiet = [network.conv_out]
    for module in network.modules():
        quiet += (
            [module.conv2] if isinstance(module, ResBlock) else [module.out] if isinstance(module, Attention) else []
        )
    seen = 0
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        assert not module.bias.any()
        if any(module is q for q in quiet):
            assert module.weight.abs().max() < 1e-5
            continue
        space = math.prod(module.weight.shape[2:])
        variance = 2 / ((module.weight.shape[0] + module.weight.shape[1]) * space)
        if module.weight.numel() > 20_000:
            assert module.weight.var().item() == pytest.approx(variance, rel=0.04)
            seen += 1
        assert module.weight.abs().max() <= math.sqrt(3 * variance) * (1 + 1e-6)
    assert seen > 5
    assert (
        network(torch.randn(2, 1, 8, 8), torch.tensor([3, 900])).abs().max() < 1e-3
    )  # it begins by predicting nothing


def test_norms_are_as_tensorflow_has_them():
    norms = [m for m in build(RECIPES["gpu-eps"].config).modules() if isinstance(m, nn.GroupNorm)]
    assert {m.num_groups for m in norms} == {32} and {m.eps for m in norms} == {1e-6}


def test_dropout_acts_in_training_only():
    network = small(dropout=0.5)
    for p in network.parameters():
        nn.init.normal_(p, std=0.2)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([1, 5])
    assert not torch.equal(network(x, t), network(x, t))
    network.eval()
    assert torch.equal(network(x, t), network(x, t))


def test_the_time_embedding_is_the_papers():
    out = time_embedding(torch.tensor([0, 7, 999]), 128)
    k = torch.arange(64, dtype=torch.float64)
    angles = torch.tensor([0.0, 7, 999], dtype=torch.float64)[:, None] * torch.exp(-math.log(1e4) * k / 63)
    torch.testing.assert_close(out, torch.cat((angles.sin(), angles.cos()), 1).float(), rtol=1e-3, atol=1e-4)


def test_attention_has_one_head_over_all_places():
    torch.manual_seed(0)
    attention = Attention(16)
    for f in (attention.q, attention.k, attention.v, attention.out):
        nn.init.normal_(f.weight)
        nn.init.zeros_(f.bias)
    x = torch.randn(2, 16, 3, 3)
    h = attention.norm(x).flatten(2)  # (B, C, HW)
    q, k, v = (torch.einsum("oc,bcn->bon", f.weight[:, :, 0, 0], h) for f in (attention.q, attention.k, attention.v))
    weights = torch.einsum("bcn,bcm->bnm", q, k).div(math.sqrt(16)).softmax(2)
    mixed = torch.einsum("bnm,bcm->bcn", weights, v)
    expected = x + torch.einsum("oc,bcn->bon", attention.out.weight[:, :, 0, 0], mixed).reshape(2, 16, 3, 3)
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_halving_pads_right_and_below_only():
    down = Downsample(1)
    nn.init.ones_(down.conv.weight)
    nn.init.zeros_(down.conv.bias)
    assert down(torch.ones(1, 1, 4, 4)).tolist() == [[[[9, 6], [6, 4]]]]


def to_diffusers(network: UNet) -> dict[str, torch.Tensor]:
    """The same weights under the names that diffusers gives them. Ours come level by level, theirs block by block."""
    out: dict[str, torch.Tensor] = {}

    def put(name: str, module: nn.Module, flat: bool = False) -> None:
        out[f"{name}.weight"] = module.weight.flatten(1) if flat else module.weight
        out[f"{name}.bias"] = module.bias

    def stage(block: str, i: int, module: nn.Module) -> None:
        r, b = f"{block}.resnets.{i}", module.block
        pairs = {"norm1": b.norm1, "conv1": b.conv1, "time_emb_proj": b.time, "norm2": b.norm2, "conv2": b.conv2}
        for name, part in (pairs | ({"conv_shortcut": b.shortcut} if b.shortcut is not None else {})).items():
            put(f"{r}.{name}", part)
        if (a := module.attention) is not None:
            put(f"{block}.attentions.{i}.group_norm", a.norm)
            for name, part in {"to_q": a.q, "to_k": a.k, "to_v": a.v, "to_out.0": a.out}.items():
                put(f"{block}.attentions.{i}.{name}", part, flat=True)

    for name, modules, turn in (("down_blocks", network.down, "downsamplers"), ("up_blocks", network.up, "upsamplers")):
        level = i = 0
        for module in modules:
            if hasattr(module, "block"):
                stage(f"{name}.{level}", i, module)
                i += 1
            else:
                put(f"{name}.{level}.{turn}.0.conv", module.conv)
                level, i = level + 1, 0
    stage("mid_block", 0, network.middle[0])
    stage("mid_block", 1, network.middle[1])
    put("conv_in", network.conv_in)
    put("conv_norm_out", network.norm_out)
    put("conv_out", network.conv_out)
    put("time_embedding.linear_1", network.time[0])
    put("time_embedding.linear_2", network.time[2])
    return out


@pytest.mark.parametrize(
    ("channels", "mult", "size", "attention", "groups"),
    [(128, (1, 2, 2, 2), 16, (8,), 32), (32, (1, 1), 8, (4,), 8)],
    ids=["ddpm-cifar10-32 at half the size", "small"],
)
def test_outputs_agree_with_diffusers(channels, mult, size, attention, groups):
    """google/ddpm-cifar10-32's configuration. diffusers must be told one attention head (its default is heads of 8) and
    to pad as TensorFlow does (downsample_padding 0)."""
    diffusers = pytest.importorskip("diffusers")
    kinds = ["Attn" if size // 2**i in attention else "" for i in range(len(mult))]
    theirs = diffusers.UNet2DModel(
        sample_size=size, in_channels=3, out_channels=3, layers_per_block=2,
        block_out_channels=tuple(channels * m for m in mult), norm_num_groups=groups, norm_eps=1e-6,
        down_block_types=tuple(f"{k}DownBlock2D" for k in kinds),
        up_block_types=tuple(f"{k}UpBlock2D" for k in reversed(kinds)),
        attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, act_fn="silu",
    ).eval()  # fmt: skip
    ours = UNet(size, 3, 3, channels, mult, 2, attention, 0.1).eval()
    for m in ours.modules():  # in the small network, sums of skips would have other numbers of groups
        if isinstance(m, nn.GroupNorm):
            m.num_groups = groups
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in ours.parameters():
            p.copy_(torch.randn(p.shape, generator=g) * (0.5 / math.sqrt(p[0].numel()) if p.dim() > 1 else 0.2))
    missing = theirs.load_state_dict(to_diffusers(ours), strict=True)
    assert not missing.missing_keys and not missing.unexpected_keys
    x, t = torch.randn(2, 3, size, size, generator=g), torch.tensor([3, 977])
    with torch.no_grad():
        mine, reference = ours(x, t), theirs(x, t).sample
    assert reference.std() > 0.05
    torch.testing.assert_close(mine, reference, rtol=1e-4, atol=1e-4)
