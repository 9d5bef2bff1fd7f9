"""The Triton kernel that attends from a few new tokens to a cache, and its registration as an operator.

In a step that makes one token, PyTorch's attention takes half of the time, and turning queries and keys, writing to the
cache and laying tensors out for it take four launches a layer. One launch here does all of it, and reads no place of
the cache that is not filled. A program takes one sequence and one key-value head, with all query heads of its group.

B sequences, T new tokens, S places of the cache, H query heads, K key-value heads, G = H / K, E head_dim.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

LOG2_E = tl.constexpr(1.4426950408889634)


@triton.jit
def _turned(start, turn, real, half, E: tl.constexpr):
    """Rows of two halves, each pair turned by its position's angle: what `rotate` of the decoder does."""
    cos = tl.load(turn[0] + half[None, :], mask=real[:, None], other=1.0)
    sin = tl.load(turn[1] + half[None, :], mask=real[:, None], other=0.0)
    a = tl.load(start[:, None] + half[None, :], mask=real[:, None], other=0.0).to(tl.float32)
    b = tl.load(start[:, None] + E // 2 + half[None, :], mask=real[:, None], other=0.0).to(tl.float32)
    return a * cos - b * sin, b * cos + a * sin


@triton.jit
def _attended(qa, qb, ka, kb, v, seen, scale, most, total, y):
    """One block of keys and values more, as in FlashAttention's online softmax."""
    scores = tl.dot(qa, tl.trans(ka), input_precision="ieee")
    scores = tl.dot(qb, tl.trans(kb), scores, input_precision="ieee")
    scores = tl.where(seen, scores * scale, float("-inf"))
    higher = tl.maximum(most, tl.max(scores, 1))
    weights = tl.exp2(scores - higher[:, None])
    shrink = tl.exp2(most - higher)
    y = tl.dot(weights.to(v.dtype), v, y * shrink[:, None], input_precision="ieee")
    return higher, total * shrink + tl.sum(weights, 1), y


@triton.jit
def _attend(
    qkv_ptr, turn_ptr, positions_ptr, keys_ptr, values_ptr, y_ptr, scale,
    B, S, T: tl.constexpr, H: tl.constexpr, K: tl.constexpr, E: tl.constexpr, ROWS: tl.constexpr, NEW: tl.constexpr,
    BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    b, head = tl.program_id(0), tl.program_id(1)
    G: tl.constexpr = H // K
    dtype = keys_ptr.dtype.element_ty
    first = tl.load(positions_ptr + b * T)  # what is in the cache lies before it
    half, whole = tl.arange(0, E // 2), tl.arange(0, E)

    row = tl.arange(0, ROWS)  # the queries of all heads of the group, token by token
    token, real = row // G, row < G * T
    turn = (turn_ptr + (b * T + token)[:, None] * (E // 2), turn_ptr + ((B + b) * T + token)[:, None] * (E // 2))
    qa, qb = _turned(qkv_ptr + ((b * T + token) * (H + 2 * K) + head * G + row % G) * E, turn, real, half, E)
    qa, qb = qa.to(dtype), qb.to(dtype)
    scale *= LOG2_E

    # what came before: its loads wait for nothing but `first`
    most = tl.full((ROWS,), float("-inf"), tl.float32)
    total = tl.zeros((ROWS,), tl.float32)
    y = tl.zeros((ROWS, E), tl.float32)
    for start in tl.range(0, first, BLOCK, num_stages=STAGES):
        seen = start + tl.arange(0, BLOCK)
        inside = (seen < first)[:, None]
        old = (((b * S + seen) * K + head) * E)[:, None]
        old_a = tl.load(keys_ptr + old + half[None, :], mask=inside, other=0.0)
        old_b = tl.load(keys_ptr + old + E // 2 + half[None, :], mask=inside, other=0.0)
        old_v = tl.load(values_ptr + old + whole[None, :], mask=inside, other=0.0)
        most, total, y = _attended(qa, qb, old_a, old_b, old_v, (seen < first)[None, :], scale, most, total, y)

    # the new tokens, which go into the cache and are attended to up to the query's own
    new = tl.arange(0, NEW)
    is_new = new < T
    turn = (turn_ptr + (b * T + new)[:, None] * (E // 2), turn_ptr + ((B + b) * T + new)[:, None] * (E // 2))
    at = qkv_ptr + ((b * T + new) * (H + 2 * K) + H + head) * E
    wide_a, wide_b = _turned(at, turn, is_new, half, E)
    ka, kb = wide_a.to(dtype), wide_b.to(dtype)
    v = tl.load((at + K * E)[:, None] + whole[None, :], mask=is_new[:, None], other=0.0).to(dtype)
    place = ((b * S + first + new) * K + head) * E
    tl.store(keys_ptr + place[:, None] + half[None, :], ka, mask=is_new[:, None])
    tl.store(keys_ptr + place[:, None] + E // 2 + half[None, :], kb, mask=is_new[:, None])
    tl.store(values_ptr + place[:, None] + whole[None, :], v, mask=is_new[:, None])
    seen_new = (new[None, :] <= token[:, None]) & is_new[None, :]
    most, total, y = _attended(qa, qb, ka, kb, v, seen_new, scale, most, total, y)
    y = y / total[:, None]
    out = ((b * T + token) * H + head * G + row % G) * E
    tl.store(y_ptr + out[:, None] + whole[None, :], y.to(y_ptr.dtype.element_ty), mask=real[:, None])


@torch.library.custom_op("repro::attend_next", mutates_args=("keys", "values"))
def attend_next(
    qkv: torch.Tensor, turn: torch.Tensor, positions: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Turn the queries and keys in qkv (B, T, H + 2 K, E) by `turn` (2, B, T, E / 2), write into keys and values
    (B, S, K, E) at positions (B, T), which follow one another, and attend causally: (B, T, H, E)."""
    B, T, heads, E = qkv.shape
    S, K = keys.shape[1:3]
    H = heads - 2 * K
    y = qkv.new_empty(B, T, H, E)
    # many programs are fastest when small, few when each has much on its way; fp32 takes twice the shared memory
    block, warps = (64, 2) if B * K >= 128 else (128, 4)
    block = block if keys.element_size() == 2 else 32
    _attend[(B, K)](
        qkv.contiguous(), turn.contiguous(), positions.contiguous(), keys, values, y, E**-0.5,
        B, S, T=T, H=H, K=K, E=E, ROWS=max(16, triton.next_power_of_2(H // K * T)),
        NEW=max(16, triton.next_power_of_2(T)), BLOCK=block, STAGES=3, num_warps=warps,
    )  # fmt: skip
    return y


@attend_next.register_fake
def _(
    qkv: torch.Tensor, turn: torch.Tensor, positions: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    return qkv.new_empty(*qkv.shape[:2], qkv.shape[2] - 2 * keys.shape[2], qkv.shape[3])
