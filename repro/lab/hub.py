"""Checkpoints of Llama-family decoders in Hugging Face's layout, in and out: a folder with config.json and the tensors
in model.safetensors, whole or in shards. Tensors that stand apart there (q, k, v; gate, up) are one here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from repro.lab.cache import write
from repro.lab.files import write_whole
from repro.lab.transformer import Decoder, Shape

_OF_BLOCK = {
    "norm1": ("input_layernorm",), "norm2": ("post_attention_layernorm",),
    "attn.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "attn.out": ("self_attn.o_proj",),
    "ffn.gate_up": ("mlp.gate_proj", "mlp.up_proj"), "ffn.down": ("mlp.down_proj",),
}  # fmt: skip
_OF_ALL = {"embed": "model.embed_tokens", "norm": "model.norm", "head": "lm_head"}
_KEPT_APART = ("rotary_emb.inv_freq",)  # tables that old checkpoints hold and every reader makes for itself


def their_names(ours: str) -> tuple[str, ...]:
    """'blocks.0.attn.qkv.weight' -> the names of the tensors that it is made of, in their order."""
    stem = ours.removesuffix(".weight")
    if stem in _OF_ALL:
        return (f"{_OF_ALL[stem]}.weight",)
    _, layer, part = stem.split(".", 2)
    return tuple(f"model.layers.{layer}.{name}.weight" for name in _OF_BLOCK[part])


def _parts(ours: str, shape: Shape) -> list[int]:
    """How many rows each of `their_names` gives."""
    if ours.endswith("attn.qkv.weight"):
        return [n * shape.head_dim for n in (shape.n_heads, shape.n_kv_heads, shape.n_kv_heads)]
    return [shape.d_ff, shape.d_ff] if ours.endswith("ffn.gate_up.weight") else []


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint; a ValueError where there is none that can be read."""
    try:
        found = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / 'config.json'}: {error}; name the folder of a Hugging Face checkpoint") from None
    if not isinstance(found, dict):
        raise ValueError(f"{folder / 'config.json'}: no JSON object")
    return found


def shape_of(config: dict[str, Any], tied: bool) -> Shape:
    """The sizes that a config.json tells. What this decoder cannot do is refused rather than ignored."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    odd = {
        "hidden_act": config.get("hidden_act", "silu") != "silu",
        "attention_bias": config.get("attention_bias", False), "mlp_bias": config.get("mlp_bias", False),
        "rope_scaling": rope.get("rope_type", rope.get("type", "default")) != "default",
        "head_dim": config.get("head_dim") not in (None, config["hidden_size"] // config["num_attention_heads"]),
    }  # fmt: skip
    if any(odd.values()):
        names = ", ".join(name for name, found in odd.items() if found)
        raise ValueError(f"this decoder is a plain Llama; the checkpoint differs in {names}")
    return Shape(
        config["vocab_size"], config["hidden_size"], config["num_hidden_layers"], config["num_attention_heads"],
        config.get("num_key_value_heads") or config["num_attention_heads"], config["intermediate_size"],
        config.get("max_position_embeddings", 2048),
        float(rope.get("rope_theta", config.get("rope_theta", 10_000.0))), config.get("rms_norm_eps", 1e-6), tied,
    )  # fmt: skip


def read_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name, whatever the number of its files."""
    from safetensors.torch import load_file

    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    found: dict[str, torch.Tensor] = {}
    for name in names:
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is not there; a checkpoint holds its weights as safetensors")
        found |= load_file(folder / name)
    return {name: tensor for name, tensor in found.items() if not name.endswith(_KEPT_APART)}


def load(folder: Path, make: Callable[[Shape], Decoder] = Decoder) -> Decoder:
    """The decoder of a checkpoint, in fp32. `make` builds it from its sizes.

    Whether embeddings are tied is read off the tensors: MobileLLM's configs say `tie_word_embeddings: false` and its
    training tied them by a flag, so that a reader of the config alone builds a model with 18 M weights too many."""
    config, tensors = read_config(folder), read_tensors(folder)
    embedding, head = tensors.get("model.embed_tokens.weight"), tensors.get("lm_head.weight")
    tied = head is None or (embedding is not None and torch.equal(head, embedding))
    if tied:
        tensors.pop("lm_head.weight", None)
    decoder = make(shape_of(config, tied))
    if config.get("layer_sharing") and len(decoder.calls()) == decoder.shape.n_layers:
        raise ValueError(f"{folder}: its layers are shared (layer_sharing); load it with repro.mobilellm.sharing")
    put(decoder, tensors, str(folder))
    return decoder


@torch.no_grad()
def put(decoder: Decoder, tensors: dict[str, torch.Tensor], name: str) -> None:
    """Fill a decoder with tensors under their names there; all of them, and each of the right size."""
    left = set(tensors)
    for ours, weight in decoder.named_parameters():
        theirs = their_names(ours)
        if missing := [n for n in theirs if n not in tensors]:
            raise ValueError(f"{name}: there is no tensor {missing[0]}")
        value = torch.cat([tensors[n] for n in theirs])
        if value.shape != weight.shape:
            raise ValueError(f"{name}: {theirs[0]} makes {tuple(value.shape)} where {tuple(weight.shape)} is expected")
        weight.copy_(value)
        left -= set(theirs)
    if left:
        raise ValueError(f"{name}: {len(left)} tensors are of no use here, {min(left)} for one")


def _tensors(decoder: Decoder) -> Iterator[tuple[str, torch.Tensor]]:
    for ours, weight in decoder.named_parameters():
        rows = _parts(ours, decoder.shape) or [weight.shape[0]]
        yield from zip(their_names(ours), weight.detach().split(rows), strict=True)


def config_of(decoder: Decoder) -> dict[str, Any]:
    """What config.json says of a decoder."""
    s = decoder.shape
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "attention_bias": False,
        "mlp_bias": False, "vocab_size": s.vocab_size, "hidden_size": s.d_model, "num_hidden_layers": s.n_layers,
        "num_attention_heads": s.n_heads, "num_key_value_heads": s.n_kv_heads, "head_dim": s.head_dim,
        "intermediate_size": s.d_ff, "max_position_embeddings": s.max_seq_len, "rope_theta": s.rope_theta,
        "rms_norm_eps": s.norm_eps, "tie_word_embeddings": s.tied,
    }  # fmt: skip


def save(decoder: Decoder, folder: Path) -> None:
    """Write a decoder as transformers reads it, in the type its weights have. Layers that are called more than once are
    no Llama and are refused: save such a model's state instead."""
    from safetensors.torch import save as to_bytes

    if len(decoder.calls()) != decoder.shape.n_layers:
        raise ValueError("layers are shared here, which the Llama layout cannot say")
    folder.mkdir(parents=True, exist_ok=True)
    # contiguous copies: the parts of one matrix share its memory, which safetensors refuses
    tensors = {name: tensor.clone().contiguous() for name, tensor in _tensors(decoder)}
    data = to_bytes(tensors, metadata={"format": "pt"})
    write_whole(folder / "model.safetensors", lambda file: file.write(data))
    write(folder / "config.json", json.dumps(config_of(decoder), indent=2) + "\n")
