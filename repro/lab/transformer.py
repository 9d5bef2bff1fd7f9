"""A decoder of the Llama family: RMSNorm before each part, rotary positions, grouped key-value heads, SwiGLU.

Shapes: B sequences, T tokens, S places of a cache, D d_model, H query heads, K key-value heads, E head_dim, F d_ff,
V vocab_size.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from repro.lab.losses import summed_cross_entropy

# PyTorch's own first choice is FlashAttention 2, which leaves half of a Hopper GPU idle
KERNELS = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


_attend_next: Any = None
if torch.cuda.is_available() and importlib.util.find_spec("triton") is not None:
    from repro.lab.decode_kernel import attend_next as _attend_next


@dataclass(frozen=True)
class Shape:
    """The sizes that make a decoder; the defaults are those of Llama and MobileLLM."""

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_ff: int
    max_seq_len: int = 2048
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    tied: bool = True

    def __post_init__(self) -> None:
        if self.d_model % self.n_heads or self.n_heads % self.n_kv_heads:
            raise ValueError(f"{self.n_heads} heads do not divide {self.d_model}, or {self.n_kv_heads} them")

    @property
    def head_dim(self) -> int:
        return self.d_model // self.n_heads


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis, computed in fp32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(size)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps) * self.weight.float()).to(x.dtype)


def rope_table(length: int, head_dim: int, theta: float) -> torch.Tensor:
    """Cosines and sines of every position, (2, length, E / 2) in fp32."""
    turns = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float64), turns)
    return torch.stack((angles.cos(), angles.sin())).float()


def rotate(x: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Turn each pair (x_i, x_(i + E/2)) of x (B, T, heads, E) by its position's angle; `turn` is (2, B or 1, T, E / 2)
    of `rope_table`. Halves are paired, as in Hugging Face's checkpoints, where the RoFormer paper pairs neighbours."""
    cos, sin = turn[:, :, :, None]
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


Slot = tuple[torch.Tensor, torch.Tensor]
"""Keys and values of one call of a layer, (B, S, K, E) each."""


class Cache:
    """Keys and values of what was read so far: one slot a call of a layer, since a layer that is called twice attends
    to two different pasts. Each sequence has its own length; what lies beyond it is never attended to."""

    def __init__(self, decoder: Decoder, batch: int, length: int, dtype: torch.dtype | None = None) -> None:
        shape, weight = decoder.shape, decoder.embed.weight
        self.length = -(-length // 16) * 16  # attention kernels want rows of a mask to begin at multiples of 16 bytes
        size = (batch, self.length, shape.n_kv_heads, shape.head_dim)
        make = partial(torch.zeros, size, dtype=dtype or weight.dtype, device=weight.device)
        # each in memory of its own: what is written to parts of one tensor, a compiled step copies whole
        self.slots: list[Slot] = [(make(), make()) for _ in decoder.calls()]

    @property
    def bytes_per_token(self) -> int:
        """Of one sequence: 2 * calls * K * E * bytes of a number."""
        return sum(t[0, 0].nbytes for slot in self.slots for t in slot)


@dataclass
class Context:
    """Where the tokens at hand stand, the same for every layer. `turn` is their part of the rotary table; `positions`
    (B, T) says where they go in the cache, none that they are the first ones of every sequence; `bias` (B, 1, T, S) is
    0 for the places each may attend to and -inf for the others, and none where the kernel finds these by itself."""

    turn: torch.Tensor
    positions: torch.Tensor | None = None
    bias: torch.Tensor | None = None


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Causal attention of q (B, H, T, E) to k and v (B, K, T, E). On a GPU by the first of `KERNELS` that can."""
    grouped = q.shape[1] != k.shape[1]
    if not q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
    with sdpa_kernel(KERNELS, set_priority=True):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)


def attend_cached(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, slot: Slot, context: Context) -> torch.Tensor:
    """Keep k and v (B, T, K, E) in a cache's slot; attend with q (B, T, H, E) to what it holds; (B, H, T, E).
    The query heads of a group stand as so many queries of their one key-value head: no key is copied for each."""
    keys, values = slot
    if context.positions is None:
        keys[:, : k.shape[1]], values[:, : v.shape[1]] = k, v
        return attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    rows = torch.arange(len(k), device=k.device)[:, None]
    keys.index_put_((rows, context.positions), k.to(keys.dtype))
    values.index_put_((rows, context.positions), v.to(values.dtype))
    B, T, H, E = q.shape
    groups = H // keys.shape[2]
    assert context.bias is not None
    bias = context.bias.expand(B, groups, T, -1).reshape(B, 1, groups * T, -1)
    grouped = q.to(keys.dtype).transpose(1, 2).reshape(B, keys.shape[2], groups * T, E)
    found = F.scaled_dot_product_attention(grouped, keys.transpose(1, 2), values.transpose(1, 2), attn_mask=bias)
    return found.reshape(B, H, T, E).to(q.dtype)


class Attention(nn.Module):
    """Grouped-query attention; the three projections are one product."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = (shape.n_heads, shape.n_kv_heads, shape.n_kv_heads)
        self.qkv = nn.Linear(shape.d_model, sum(self.heads) * shape.head_dim, bias=False)
        self.out = nn.Linear(shape.n_heads * shape.head_dim, shape.d_model, bias=False)

    def forward(self, x: torch.Tensor, context: Context, slot: Slot | None = None) -> torch.Tensor:
        B, T, _ = x.shape
        qkv = self.qkv(x).view(B, T, sum(self.heads), -1)
        if slot is not None and context.positions is not None and context.bias is None:
            next_one: torch.Tensor = self.out(_attend_next(qkv, context.turn, context.positions, *slot).view(B, T, -1))
            return next_one
        q, k, v = qkv.split(self.heads, 2)
        q, k = rotate(q, context.turn), rotate(k, context.turn)
        v = v.contiguous()  # a copy of its own, or the product it is a part of would be kept whole for the gradient
        if slot is None:
            y = attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        else:
            y = attend_cached(q, k, v, slot, context)
        found: torch.Tensor = self.out(y.transpose(1, 2).reshape(B, T, -1))
        return found


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)); gate and up are one product."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_up = nn.Linear(shape.d_model, 2 * shape.d_ff, bias=False)
        self.down = nn.Linear(shape.d_ff, shape.d_model, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_up(x).chunk(2, -1)
        found: torch.Tensor = self.down(F.silu(gate) * up)
        return found


class Block(nn.Module):
    """Attention and feed-forward, each on the normalised stream and added to it. What the part before adds comes apart
    from the stream, and what the feed-forward adds leaves so: then a compiled block makes the sum in its norm's own
    pass over memory."""

    def __init__(self, shape: Shape, ffn: Callable[[Shape], nn.Module] = SwiGLU) -> None:
        super().__init__()
        self.norm1, self.attn = RMSNorm(shape.d_model, shape.norm_eps), Attention(shape)
        self.norm2, self.ffn = RMSNorm(shape.d_model, shape.norm_eps), ffn(shape)

    def forward(
        self, x: torch.Tensor, added: torch.Tensor, context: Context, slot: Slot | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = x + added
        x = x + self.attn(self.norm1(x), context, slot)
        return x, self.ffn(self.norm2(x))


class Decoder(nn.Module):
    """Tokens (B, T) -> logits (B, T, V). `residual_std` scales the first values of what is added to the stream; without
    it every matrix begins normal with standard deviation 0.02."""

    rope: torch.Tensor

    def __init__(
        self, shape: Shape, ffn: Callable[[Shape], nn.Module] = SwiGLU, residual_std: float | None = None
    ) -> None:
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab_size, shape.d_model)
        self.blocks = nn.ModuleList(Block(shape, ffn) for _ in range(shape.n_layers))
        self.norm = RMSNorm(shape.d_model, shape.norm_eps)
        self.head = None if shape.tied else nn.Linear(shape.d_model, shape.vocab_size, bias=False)
        table = rope_table(shape.max_seq_len, shape.head_dim, shape.rope_theta)
        self.register_buffer("rope", table, persistent=False)
        for name, weight in self.named_parameters():
            if weight.dim() > 1:
                into_stream = name.endswith(("attn.out.weight", "ffn.down.weight"))
                nn.init.normal_(weight, std=(residual_std if into_stream and residual_std else 0.02))

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> Decoder:
        """What moves or casts a module (`.to(torch.bfloat16)`) leaves the rotary table in fp32: in bf16 it would
        hold cosines and sines to three digits."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        shape = self.shape
        self.rope = rope_table(shape.max_seq_len, shape.head_dim, shape.rope_theta).to(self.embed.weight.device)
        return self

    def compile(self, *args: Any, **options: Any) -> None:
        """Compile a block and the last norm, in place: all blocks run the same code, so it is compiled once, in the
        time of one and not of thirty."""
        for part in (*self.blocks, self.norm):
            part.compile(*args, **options)

    def calls(self) -> Sequence[nn.Module]:
        """The blocks in the order in which they are called."""
        return list(self.blocks)

    @property
    def unembed(self) -> torch.Tensor:
        """The matrix (V, D) that makes logits of the hidden states: the embedding's own where they are tied."""
        return self.embed.weight if self.head is None else self.head.weight

    def hidden(
        self, x: torch.Tensor, cache: Cache | None = None, positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The normalised hidden states (B, T, D) of tokens (B, T), or of embeddings (B, T, D) that stand for some.
        With `positions` (B, T), which follow one another in a sequence, they come after what the cache holds; without,
        they are the first."""
        context = Context(self.rope[:, None, : x.shape[1]])
        if positions is not None and cache is not None:
            context = Context(self.rope[:, positions], positions, self._bias(cache, positions))
        x = self.embed(x) if x.dim() == 2 else x
        if not x.is_meta and torch.is_autocast_enabled(x.device.type):
            # the stream itself in bf16: half the memory traffic
            x = x.to(torch.get_autocast_dtype(x.device.type))
        added = torch.zeros_like(x)
        for call, block in enumerate(self.calls()):
            x, added = block(x, added, context, None if cache is None else cache.slots[call])
        found: torch.Tensor = self.norm(x + added)
        return found

    def _bias(self, cache: Cache, positions: torch.Tensor) -> torch.Tensor | None:
        """See `Context`. The kernel takes few tokens at a time, in heads that fit its tiles, and makes no gradient."""
        queries = positions.shape[1] * self.shape.n_heads // self.shape.n_kv_heads
        fits = queries <= 64 and self.shape.head_dim in (32, 64, 128)
        if fits and _attend_next and positions.is_cuda and not torch.is_grad_enabled():
            return None
        seen = torch.arange(cache.length, device=positions.device) <= positions[:, None, :, None]
        return torch.zeros_like(seen, dtype=cache.slots[0][0].dtype).masked_fill_(~seen, -torch.inf)

    def forward(
        self, x: torch.Tensor, cache: Cache | None = None, positions: torch.Tensor | None = None
    ) -> torch.Tensor:
        return F.linear(self.hidden(x, cache, positions), self.unembed)


class TokenLoss(nn.Module):
    """A decoder with its loss, so that what wraps a module's forward (DDP, FSDP2) wraps both: tokens (B, T + 1) -> the
    sum of the next-token losses in nats, and how many they are."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self._loss = summed_cross_entropy

    def compile(self, *args: Any, **options: Any) -> None:
        self.decoder.compile(*args, **options)
        self._loss = torch.compile(summed_cross_entropy, *args, **options)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.decoder.hidden(tokens[:, :-1])
        return self._loss(hidden, self.decoder.unembed, tokens[:, 1:])
