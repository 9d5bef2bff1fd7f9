"""Bases and arms: what is trained in each, attention that drops, the plateau, LionW against its formula."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from decoders import ids, tiny

from repro.lab import hub
from repro.lab.lora import layers, trained
from repro.lab.optim import set_lr
from repro.lora_forgetting.config import ATTENTION, Config, arm_config
from repro.lora_forgetting.lion import LionW
from repro.lora_forgetting.model import (
    Control,
    arm_of,
    control_of,
    drop_attention,
    first,
    is_base,
    keep_control,
    lora,
)

torch.set_num_threads(1)


def test_arms_train_what_they_say():
    full = arm_of(Config(method="full"), tiny())
    assert len(trained(full)) == len(list(tiny().parameters()))
    frozen = arm_of(Config(method="full", embeddings=False), tiny())
    assert not frozen.embed.weight.requires_grad and len(trained(frozen)) == len(trained(full)) - 1
    low = arm_of(Config(method="lora", r=3, targets=ATTENTION), tiny())
    assert len(layers(low)) == 6 and len(trained(low)) == 12
    assert sum(p.numel() for p in trained(low)) == 3 * 3 * ((48 + 48) + 2 * (48 + 16) + (48 + 48))
    assert {p.dtype for n, p in low.named_parameters() if p.dim() > 1} == {torch.float32}


def test_alpha_is_twice_the_rank_unless_it_is_said():
    assert lora(Config(r=4)).alpha == 8 and lora(Config(r=4)).scale == 2
    assert lora(Config(r=4, alpha=2)).scale == 0.5
    assert lora(Config(r=4, alpha=2, rslora=True)).scale == 1.0


def test_a_base_made_here_begins_as_its_seed_says():
    a, b, c = (first(Config(seed=s)) for s in (0, 0, 1))
    assert torch.equal(a.embed.weight, b.embed.weight) and not torch.equal(a.embed.weight, c.embed.weight)
    assert a.shape.vocab_size == 50 and a.shape.max_seq_len == 32


def test_attention_drops_in_training_alone():
    plain, x = tiny(), ids(2, 20)
    for dropout in (0.0, 0.4):
        decoder = tiny()
        drop_attention(decoder, dropout)
        assert {n for n, _ in decoder.named_parameters()} == {n for n, _ in plain.named_parameters()}
        torch.testing.assert_close(decoder.eval()(x), plain(x), rtol=0, atol=1e-5)
        off = (decoder.train()(x) - plain(x)).abs().max()
        assert off < 1e-5 if dropout == 0 else off > 0.01


def test_a_plateau_is_what_the_control_hardly_moves():
    """Up as little as down: a control that wrecks the base tells nothing."""
    assert Control(2.0, 1.981, 1, "").flat and Control(2.0, 2.019, 1, "").flat
    assert not Control(2.0, 1.979, 1, "").flat and not Control(2.0, 2.021, 1, "").flat


def test_a_base_is_kept_with_what_is_known_of_it(tmp_path):
    assert not is_base("") and not is_base(str(tmp_path))
    hub.save(tiny(), tmp_path / "base")
    assert not is_base(str(tmp_path / "base"))
    keep_control(tmp_path / "base", Control(2.5, 2.49, 100, "a text"))
    assert is_base(str(tmp_path / "base")) and control_of(tmp_path / "base") == Control(2.5, 2.49, 100, "a text")
    (tmp_path / "base/plateau.json").write_text('{"before_nats": 2.5, "after_nats": 2.49}')  # as it was once written
    with pytest.raises(ValueError, match="plateau.json.*tokens.*; make the base anew with gpu-base"):
        control_of(tmp_path / "base")


# LionW


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_lion_is_its_formula(decay, as_tensor):
    g = torch.Generator().manual_seed(0)
    p = [torch.nn.Parameter(torch.randn(4, 3, generator=g)), torch.nn.Parameter(torch.randn(5, generator=g))]
    untouched = torch.nn.Parameter(torch.ones(2))
    peak = 0.1
    lion = LionW([*p, untouched], torch.tensor(peak) if as_tensor else peak, (0.9, 0.95), decay)
    ours, moments = [q.detach().clone() for q in p], [torch.zeros_like(q) for q in p]
    for lr in (0.05, 0.1, 0.02):
        set_lr(lion, lr)
        for i, q in enumerate(p):
            q.grad = torch.randn(q.shape, generator=g)
            update = (0.9 * moments[i] + 0.1 * q.grad).sign()
            ours[i] = ours[i] * (1 - lr / peak * decay) - lr * update
            moments[i] = 0.95 * moments[i] + 0.05 * q.grad
        lion.step()
        for q, expected in zip(p, ours, strict=True):
            torch.testing.assert_close(q.detach(), expected, rtol=1e-5, atol=1e-6)
    assert untouched.tolist() == [1.0, 1.0]


def test_lion_goes_on_from_its_state():
    def steps(lion, p, n, first=0):
        for i in range(first, first + n):
            p.grad = torch.full_like(p, (-1.0) ** (i % 3))
            lion.step()

    whole, parts = (torch.nn.Parameter(torch.zeros(3)) for _ in range(2))
    one, two = LionW([whole], 0.1, weight_decay=0.5), LionW([parts], 0.1, weight_decay=0.5)
    steps(one, whole, 5)
    steps(two, parts, 2)
    three = LionW([parts], 0.7)
    three.load_state_dict(two.state_dict())
    steps(three, parts, 3, 2)
    assert torch.equal(whole, parts)


# arms


def test_an_arm_changes_fields_of_its_run():
    config = Config(seed=5)
    said = "x r=4 lr=0.002 targets=q_proj+v_proj optimizer=lionw embeddings=false measure=loss+spectrum"
    name, arm = arm_config(config, said)
    expected = replace(
        config, r=4, lr=0.002, targets=("q_proj", "v_proj"), optimizer="lionw", embeddings=False,
        measure=("loss", "spectrum"),
    )  # fmt: skip
    assert (name, arm) == ("x", expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x rank=4", "arm 'x rank=4': an arm has no field rank"),
        ("x seed=1", "an arm has no field seed; give --seed to the run"),
        ("x target=permuted", "an arm has no field target; give --target to the run"),
        ("x seq_len=64", "an arm has no field seq_len; give --seq-len to the run"),
        ("x targets=q_proj+qkv", "q_proj\\+qkv is no value of targets"),
        ("x measure=loss+spectra", "loss\\+spectra is no value of measure"),
        ("x r=four", "arm 'x r=four': four is no value of r"),
        ("x optimizer=sgd", "sgd is no value of optimizer"),
        ("x rslora=maybe", "maybe is no value of rslora"),
    ],
)
def test_what_an_arm_cannot_change(text, message):
    with pytest.raises(ValueError, match=message):
        arm_config(Config(), text)


@pytest.mark.parametrize("text", ["base r=4", "control", "twice r=4", " "])
def test_an_arm_has_a_name_of_its_own(text):
    """Its numbers are kept by it, beside those of the base."""
    with pytest.raises(ValueError, match="each needs a name of its own, other than base and control"):
        arm_config(Config(arms=("once", "twice", "twice lr=1")), text)
