"""LoRA: against plain arithmetic and against peft, both ways; counts; what is frozen, merged, refused."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from decoders import ids, tiny
from torch.utils._python_dispatch import TorchDispatchMode

from repro.lab import hub, lora, transformer
from repro.lab.lora import ALL, ATTENTION, MLP, LoRA, adapt, layers, load, merge, merged, save, trained, unmerge
from repro.lab.transformer import Decoder, Shape, TokenLoss

torch.set_num_threads(1)
LLAMA2_7B = Shape(32_000, 4096, 32, 32, 32, 11_008, 4096, tied=False)
FOUR = LoRA(4, 8.0)


def adapted(settings: LoRA = FOUR, seed: int = 3, **changes) -> Decoder:
    """A tiny decoder whose adapters have been moved from their zeros."""
    decoder = adapt(tiny(**changes), settings)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in layers(decoder).values():
            layer.lora_B.copy_(0.1 * torch.randn(layer.lora_B.shape, generator=g))
    return decoder


@pytest.mark.parametrize("init", ["kaiming", "gaussian", "normal"])
@pytest.mark.parametrize("targets", [ALL, ("q_proj", "v_proj")])
def test_nothing_changes_at_the_start(init, targets):
    plain, x = tiny(), ids(2, 20)
    expected = plain(x)
    torch.testing.assert_close(adapt(tiny(), LoRA(4, 8.0, targets, init=init))(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("init", "std"), [("kaiming", 48**-0.5 / 3**0.5), ("gaussian", 1 / 16), ("normal", 1.0)])
def test_the_beginnings_of_a(init, std):
    torch.manual_seed(0)
    a = layers(adapt(tiny(), LoRA(16, 32.0, init=init)))["blocks.0.attn.qkv"].lora_A
    assert a.std().item() == pytest.approx(std, rel=0.05)
    if init == "kaiming":
        assert a.abs().max().item() <= 48**-0.5


@pytest.mark.parametrize("targets", [ALL, ATTENTION, MLP, ("q_proj", "v_proj"), ("k_proj",), ("up_proj", "o_proj")])
@pytest.mark.parametrize("thin", [True, False])
def test_it_is_the_plain_formula(monkeypatch, targets, thin):
    """Forwards and backwards, by thin products and by the gradient of the matrix: W + scale B A, each part with its
    own pair."""
    monkeypatch.setattr(lora, "is_thin", lambda *sizes: thin)
    decoder, plain, tokens = adapted(LoRA(4, 8.0, targets)), tiny(), ids(2, 21)
    leaves = {}
    weights = dict(plain.named_parameters())
    for name, layer in layers(decoder).items():
        base, rows, at = weights[f"{name}.weight"].detach(), [], 0
        for part, size in layer.parts.items():
            row = base[at : at + size]
            at += size
            if part in layer.adapted:
                a, b = (t.detach().clone().requires_grad_() for t in layer.pairs()[part])
                leaves[name, part] = (a, b)
                row = row + 2.0 * b @ a
            rows.append(row)
        weights[f"{name}.weight"] = torch.cat(rows)
    total, count = TokenLoss(decoder)(tokens)
    total.backward()
    logits = torch.func.functional_call(plain, weights, (tokens[:, :-1],))
    expected = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum")
    expected.backward()
    assert count == 40 and total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert {part for _, part in leaves} == set(targets)
    for name, layer in layers(decoder).items():
        for side, found in ((0, layer.lora_A.grad), (1, layer.lora_B.grad)):
            theirs = torch.cat([leaves[name, part][side].grad for part in layer.adapted])
            torch.testing.assert_close(found, theirs, rtol=1e-3, atol=2e-4)


def test_only_adapters_are_trained_and_no_other_gradient_is_made():
    decoder = adapted()
    names = {name for name, p in decoder.named_parameters() if p.requires_grad}
    assert names == {f"{name}.{side}" for name in layers(decoder) for side in ("lora_A", "lora_B")}
    with _Products() as products:
        TokenLoss(decoder)(ids(2, 21))[0].backward()
    with _Products() as of_all:
        TokenLoss(tiny())(ids(2, 21))[0].backward()
    weights = {tuple(p.shape) for p in tiny().parameters() if p.dim() == 2}
    assert not weights & products.made and weights <= of_all.made
    assert all(p.grad is None for p in decoder.parameters() if not p.requires_grad)


class _Products(TorchDispatchMode):
    """The shapes that products of matrices give, either way round."""

    def __init__(self) -> None:
        super().__init__()
        self.made = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.mm.default:
            self.made |= {tuple(found.shape), tuple(found.shape)[::-1]}
        return found


@pytest.mark.parametrize(
    ("r", "count"), [(16, 39_976_960), (64, 159_907_840), (256, 639_631_360)], ids=lambda x: f"{x:,}"
)
def test_counts_on_llama_2(r, count):
    with torch.device("meta"):
        decoder = adapt(Decoder(LLAMA2_7B), LoRA(r, 2.0 * r))
    assert sum(p.numel() for p in trained(decoder)) == count == 32 * r * (4 * 8192 + 3 * (4096 + 11_008))


@pytest.mark.parametrize("targets", [ALL, ("q_proj", "v_proj")])
def test_merged_is_the_same_function(targets):
    decoder, x = adapted(LoRA(4, 8.0, targets)), ids(2, 20)
    expected, before = decoder(x), {name: p.detach().clone() for name, p in decoder.named_parameters()}
    assert (expected - tiny()(x)).abs().max() > 0.1
    torch.testing.assert_close(merged(decoder)(x), expected, rtol=0, atol=2e-5)
    assert not layers(merged(decoder)) and all(p.requires_grad for p in merged(decoder).parameters())
    merge(decoder)
    merge(decoder)  # twice is once
    torch.testing.assert_close(decoder(x), expected, rtol=0, atol=2e-5)
    unmerge(decoder)
    for name, p in decoder.named_parameters():
        torch.testing.assert_close(p, before[name], rtol=0, atol=0)
    torch.testing.assert_close(decoder(x), expected, rtol=0, atol=0)


def test_a_change_smaller_than_the_spacing_of_bf16_is_not_lost_under_autocast():
    """It is rounded together with weights that lie off bf16's grid. With weights kept in bf16 it is lost."""
    found = {}
    for dtype in (None, torch.bfloat16):
        torch.manual_seed(0)
        layer = layers(adapt(tiny(), FOUR, dtype))["blocks.0.attn.out"]
        x = torch.randn(4000, 48)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            layer.weight.copy_(1 + 0.1 * torch.rand(48, 48))
            before = layer(x)
            layer.lora_B.fill_(2e-4)
            change = layer(x).float() - before.float()
        expected = x @ layer.change().T
        found[dtype] = ((change * expected).sum() / expected.square().sum()).item()
    assert found[None] == pytest.approx(1.0, abs=0.3)
    assert abs(found[torch.bfloat16]) < 0.1


@pytest.mark.parametrize("settings", [FOUR, LoRA(1, 2.0), LoRA(4, 8.0, ATTENTION), LoRA(4, 8.0, dropout=0.1)])
@pytest.mark.parametrize("thin", [True, False])
def test_attention_is_given_gradients_in_the_layout_of_full_finetuning(monkeypatch, settings, thin):
    """At any rank: of two layouts in one process cuDNN would read the second as if it were the first."""
    usual, seen = transformer.attention, []

    def watched(*given):
        y = usual(*given)
        y.register_hook(lambda grad: seen.append((grad.stride(), grad.storage_offset())))
        return y

    monkeypatch.setattr(transformer, "attention", watched)
    monkeypatch.setattr(lora, "is_thin", lambda *sizes: thin)
    for decoder in (tiny(), adapted(settings).train()):
        TokenLoss(decoder)(ids(2, 21))[0].backward()
    assert len(seen) == 6 and set(seen) == {((20 * 48, 8, 48, 1), 0)}


def test_thin_is_what_costs_less():
    assert lora.is_thin(48, 960, 576) and lora.is_thin(179, 960, 576) and not lora.is_thin(181, 960, 576)
    assert lora.is_thin(3 * 256, 3 * 4096, 4096)  # rank 256 of Llama-2-7B


def test_frozen_matrices_are_kept_in_one_type_and_norms_and_adapters_in_fp32():
    decoder = adapt(tiny(), FOUR, torch.bfloat16)
    kinds = {p.dtype for name, p in decoder.named_parameters() if p.dim() > 1 and "lora" not in name}
    assert kinds == {torch.bfloat16}
    assert {p.dtype for name, p in decoder.named_parameters() if p.dim() == 1 or "lora" in name} == {torch.float32}
    total, _ = TokenLoss(decoder)(ids(2, 21))
    total.backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in trained(decoder))
    with torch.autocast("cpu", torch.bfloat16):
        under, _ = TokenLoss(adapt(tiny(), FOUR))(ids(2, 21))
    assert under.item() == pytest.approx(total.item(), rel=1e-2)


def test_dropout_is_on_the_way_into_a_and_only_in_training():
    decoder, x = adapted(replace(FOUR, dropout=0.5)), ids(2, 20)
    assert torch.equal(decoder(x), adapted()(x))
    layer = layers(decoder.train())["blocks.0.ffn.down"]
    x = torch.randn(20_000, 80)
    torch.manual_seed(0)
    with torch.no_grad():
        change = layer(x) - F.linear(x, layer.weight)
        expected = F.linear(x, layer.change())
    got = (change * expected).sum() / expected.square().sum()
    assert got.item() == pytest.approx(1.0, abs=0.02)  # the mean is kept
    assert (change - expected).norm() / expected.norm() == pytest.approx(1.0, abs=0.05)  # p / (1 - p)


def test_scales():
    assert LoRA(16, 32.0).scale == 2.0
    assert LoRA(16, 32.0, rslora=True).scale == 8.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LoRA(0, 1.0), "a rank from 1 on"),
        (lambda: LoRA(4, 1.0, ("qkv",)), "no linear layer is called qkv; there are q_proj, k_proj"),
        (lambda: adapt(adapted(), FOUR), "has adapters already"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# peft


@pytest.mark.parametrize(
    "settings",
    [FOUR, LoRA(4, 3.0, ("q_proj", "v_proj")), LoRA(6, 5.0, MLP, rslora=True), LoRA(2, 8.0, ("k_proj", "up_proj"))],
    ids=str,
)
def test_peft_reads_what_is_written_here(tmp_path, settings):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    decoder, x = adapted(settings), ids(2, 40)
    hub.save(tiny(), tmp_path / "base")
    save(decoder, tmp_path / "adapter", "base")
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(x).logits, decoder(x), rtol=0, atol=2e-5)
    assert sum(p.numel() for n, p in theirs.named_parameters() if "lora_" in n) == sum(
        p.numel() for p in trained(decoder)
    )


@pytest.mark.parametrize("targets", [list(ALL), ["q_proj", "v_proj"], "all-linear"], ids=str)
@pytest.mark.parametrize("rslora", [False, True])
def test_what_peft_writes_is_read_here(tmp_path, targets, rslora):
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    hub.save(tiny(), tmp_path / "base")
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=targets, use_rslora=rslora, init_lora_weights=False, task_type="CAUSAL_LM"
    )
    torch.manual_seed(0)
    theirs = peft.get_peft_model(theirs, config).eval()
    theirs.save_pretrained(tmp_path / "adapter")
    decoder, x = tiny(), ids(2, 40)
    with torch.no_grad():
        plain = decoder(x)
        settings = load(decoder, tmp_path / "adapter")
        expected = theirs(x).logits
        torch.testing.assert_close(decoder(x), expected, rtol=0, atol=5e-5)
    assert (expected - plain).abs().max() > 0.1
    assert (settings.r, settings.alpha, settings.rslora) == (4, 6, rslora)
    assert sum(p.numel() for n, p in theirs.named_parameters() if "lora_" in n) == sum(
        p.numel() for p in trained(decoder)
    )


def test_peft_counts_the_same_on_llama_2():
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    s = replace(LLAMA2_7B, n_layers=2, vocab_size=8)
    sizes = transformers.LlamaConfig(
        vocab_size=8, hidden_size=s.d_model, num_hidden_layers=2, num_attention_heads=s.n_heads,
        num_key_value_heads=s.n_kv_heads, intermediate_size=s.d_ff,
    )  # fmt: skip
    with torch.device("meta"):
        theirs = peft.get_peft_model(
            transformers.LlamaForCausalLM(sizes),
            peft.LoraConfig(r=16, target_modules=list(ALL)),
            low_cpu_mem_usage=True,
        )
        ours = adapt(Decoder(s), LoRA(16, 32.0))
    assert theirs.get_nb_trainable_parameters()[0] == sum(p.numel() for p in trained(ours)) == 39_976_960 // 16


def test_files_are_read_back(tmp_path):
    settings = LoRA(4, 3.0, ("gate_proj", "q_proj"), 0.1, rslora=True)
    decoder, x = adapted(settings), ids(2, 20)
    save(decoder, tmp_path)
    again = tiny()
    found = load(again, tmp_path)
    assert found == replace(settings, targets=("q_proj", "gate_proj"))
    assert torch.equal(again(x), decoder(x))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, "adapter_config.json: use_dora says that this is no plain LoRA"),
        ({"kasa_config": {"gamma": 1}}, "kasa_config says that this is no plain LoRA"),
        ({"bias": "all"}, "peft_type, or bias says that this is no plain LoRA"),
        ({"r": 5}, r"q_proj.lora_A is \(4, 48\), not \(5, 48\)"),
    ],
)
def test_other_adapters_are_refused(tmp_path, change, message):
    save(adapted(), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=message):
        load(tiny(), tmp_path)


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_16", "olora", "corda", "loftq", "lora_ga", "new"])
def test_adapters_that_took_a_part_of_the_base_are_refused(tmp_path, init):
    save(adapted(), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": init}))
    with pytest.raises(ValueError, match=f'init_lora_weights "{init}" changed the base'):
        load(tiny(), tmp_path)


@pytest.mark.parametrize("init", [True, False, "gaussian", "eva", "orthogonal"])
def test_adapters_with_other_first_values_are_read(tmp_path, init):
    decoder, x = adapted(), ids(2, 20)
    save(decoder, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"init_lora_weights": init}))
    again = tiny()
    load(again, tmp_path)
    assert torch.equal(again(x), decoder(x))


def test_adapters_of_another_decoder_are_refused(tmp_path):
    save(adapted(n_layers=4), tmp_path)
    with pytest.raises(ValueError, match="layers.3.* belongs to no layer of this decoder"):
        load(tiny(), tmp_path)
    with pytest.raises(ValueError, match="name a folder with adapter_config.json"):
        load(tiny(), tmp_path / "nowhere")
