"""LoRA (Hu et al. 2021): frozen matrices W with a trained change of low rank, y = x W^T + scale (x A^T) B^T, on any of
a decoder's linear layers, each by the name that the field gives it; in and out in peft's files.

Shapes: N tokens, I inputs of a layer, O outputs, r rank, n adapted parts of a fused layer, R = n r.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import nn

from repro.lab import hub
from repro.lab.cache import write
from repro.lab.files import write_whole
from repro.lab.transformer import Decoder

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
ALL = ATTENTION + MLP
# one matrix here may be several there
_PARTS = {"attn.qkv": ATTENTION[:3], "attn.out": ATTENTION[3:], "ffn.gate_up": MLP[:2], "ffn.down": MLP[2:]}
Init = Literal["kaiming", "gaussian", "normal"]
BLOCK = 0.25  # R / I up to which W and B are one product; beyond it the zeros of the block diagonal cost too much


@dataclass(frozen=True)
class LoRA:
    """What is trained. `init` of A: `kaiming` is peft's default, uniform within 1 / sqrt(I); `gaussian` peft's other
    one, normal with standard deviation 1 / r; `normal` is N(0, 1), as the paper writes it. B is zero in all of them.
    `rslora` scales by alpha / sqrt(r) instead of alpha / r."""

    r: int
    alpha: float
    targets: tuple[str, ...] = ALL
    dropout: float = 0.0
    init: Init = "kaiming"
    rslora: bool = False

    def __post_init__(self) -> None:
        if self.r < 1 or not self.targets or not 0 <= self.dropout < 1:
            raise ValueError(f"LoRA needs a rank from 1 on, a target and a dropout below 1, not {self}")
        if odd := sorted(set(self.targets) - set(ALL)):
            raise ValueError(f"no linear layer is called {odd[0]}; there are {', '.join(ALL)}")

    @property
    def scale(self) -> float:
        return self.alpha / (math.sqrt(self.r) if self.rslora else self.r)


class LoRALinear(nn.Module):
    """A frozen matrix (O, I) with adapters on some of its parts. Their A stand one above another in `lora_A` (R, I),
    their B in `lora_B` (rows of the adapted parts, r); both are fp32 whatever the type of the frozen matrix."""

    def __init__(self, weight: nn.Parameter, parts: dict[str, int], lora: LoRA) -> None:
        super().__init__()
        self.weight, self.parts, self.lora = weight.requires_grad_(False), parts, lora
        self.adapted = [name for name in parts if name in lora.targets]
        rows, device = sum(parts[name] for name in self.adapted), weight.device
        self.lora_A = nn.Parameter(torch.empty(len(self.adapted) * lora.r, weight.shape[1], device=device))
        self.lora_B = nn.Parameter(torch.zeros(rows, lora.r, device=device))
        self._apart: torch.Tensor | None = None  # W, while the matrix is merged
        bound = 1 / math.sqrt(weight.shape[1])
        if lora.init == "kaiming":
            nn.init.uniform_(self.lora_A, -bound, bound)
        else:
            nn.init.normal_(self.lora_A, std=1.0 if lora.init == "normal" else 1 / lora.r)

    def pairs(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """A (r, I) and B (O of the part, r) of each adapted part, by name."""
        a = self.lora_A.split(self.lora.r)
        b = self.lora_B.split([self.parts[name] for name in self.adapted])
        return dict(zip(self.adapted, zip(a, b, strict=True), strict=True))

    def block(self) -> torch.Tensor:
        """scale B of all parts as one matrix (O, R): block diagonal, so that x A^T of all parts is one product, and so
        is what follows."""
        r, wide = self.lora.r, len(self.lora_A)
        pairs, rows = self.pairs(), []
        for name, size in self.parts.items():
            if name in pairs:
                at = self.adapted.index(name) * r
                rows.append(F.pad(pairs[name][1], (at, wide - at - r)))
            else:
                rows.append(self.lora_B.new_zeros(size, wide))
        return self.lora.scale * torch.cat(rows)

    @torch.no_grad()
    def change(self) -> torch.Tensor:
        """scale B A (O, I), fp32."""
        return self.block() @ self.lora_A

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._apart is not None:
            return F.linear(x, self.weight)
        kind = x.device.type
        cast = not x.is_meta and torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if cast else self.weight.dtype
        flat, weight, a = x.reshape(-1, x.shape[-1]).to(dtype), self.weight.to(dtype), self.lora_A.to(dtype)
        drops = self.training and self.lora.dropout > 0
        if drops or len(a) > BLOCK * a.shape[1]:
            y = self._by_parts(flat, weight, F.dropout(flat, self.lora.dropout, self.training) @ a.T)
        else:
            y = _OneProduct.apply(flat, weight, a, self.block().to(dtype))  # type: ignore[no-untyped-call]
        return y.view(*x.shape[:-1], -1)

    def _by_parts(self, x: torch.Tensor, weight: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
        """x W^T, and `down` = x A^T (N, R) through each part's own B. With dropout the parts share one mask."""
        base, pairs = (x @ weight.T).split(list(self.parts.values()), 1), self.pairs()
        rows = dict(zip(pairs, down.split(self.lora.r, 1), strict=True))
        found = [
            torch.addmm(y, rows[name], (self.lora.scale * pairs[name][1]).to(y.dtype).T) if name in pairs else y
            for name, y in zip(self.parts, base, strict=True)
        ]
        return torch.cat(found, 1)

    @torch.no_grad()
    def merge(self) -> None:
        """The matrix becomes W + scale B A in its own type; W itself is put aside."""
        if self._apart is None:
            self._apart = self.weight.detach().clone()
            self.weight.copy_(self.weight.float() + self.change())

    @torch.no_grad()
    def unmerge(self) -> None:
        """The matrix is W again, to the bit."""
        if self._apart is not None:
            self.weight.copy_(self._apart)
            self._apart = None


class _OneProduct(torch.autograd.Function):
    """[x, x A^T] [W, B]^T: the change costs R more terms of the sum and no second pass over the outputs, which for low
    ranks would take longer than its arithmetic. Backwards dy [W + B A, B] gives the gradients of x and of x A^T in one
    product, and none is made of W. Rounding W + B A there to the type of W changes a gradient by as much as rounding
    W does; forwards it would hide a change smaller than half the spacing of W's numbers, so there the two stay apart.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """x (N, I), weight (O, I), a (R, I), b (O, R) of one type -> (N, O)."""
        both = torch.cat((x, x @ a.T), 1)
        ctx.save_for_backward(both, weight, a, b)
        return both @ torch.cat((weight, b), 1).T

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        both, weight, a, b = ctx.saved_tensors
        (dy,) = grads
        x, down = both.split((a.shape[1], len(a)), 1)
        dx = None
        if ctx.needs_input_grad[0]:
            dx, d_down = (dy @ torch.cat((torch.addmm(weight, b, a), b), 1)).split((a.shape[1], len(a)), 1)
        else:
            d_down = dy @ b
        return dx, None, d_down.T @ x, dy.T @ down


# Decoders


def adapt(decoder: Decoder, lora: LoRA, dtype: torch.dtype | None = None) -> Decoder:
    """Freeze a decoder and put adapters on the targets, in place. With `dtype` all of its matrices are kept in that
    type and no other: a frozen one needs no fp32 copy and no cast at each step."""
    if layers(decoder):
        raise ValueError("the decoder has adapters already; take merged(decoder) and adapt that")
    decoder.requires_grad_(False)
    if dtype is not None:
        for p in decoder.parameters():
            p.data = p.data.to(dtype) if p.dim() > 1 else p.data
    for prefix, block in decoder.blocks.named_children():
        for place, names in _PARTS.items():
            if set(names) & set(lora.targets):
                holder, name = block.get_submodule(place.rpartition(".")[0]), place.rpartition(".")[2]
                linear = getattr(holder, name)
                sizes = hub.parts_of(f"blocks.{prefix}.{place}.weight", decoder.shape) or [len(linear.weight)]
                layer = LoRALinear(linear.weight, dict(zip(names, sizes, strict=True)), lora)
                setattr(holder, name, layer.train(linear.training))
    return decoder


def layers(decoder: nn.Module) -> dict[str, LoRALinear]:
    """The adapted layers by name, `blocks.0.attn.qkv` for one."""
    return {name: module for name, module in decoder.named_modules() if isinstance(module, LoRALinear)}


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are trained."""
    return [p for p in model.parameters() if p.requires_grad]


def merge(decoder: nn.Module) -> None:
    for layer in layers(decoder).values():
        layer.merge()


def unmerge(decoder: nn.Module) -> None:
    for layer in layers(decoder).values():
        layer.unmerge()


@torch.no_grad()
def merged(decoder: Decoder) -> Decoder:
    """A copy without adapters whose matrices are W + scale B A; fp32 where W is."""
    found = copy.deepcopy(decoder)
    for name, layer in layers(found).items():
        layer.merge()
        linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[0], bias=False, device="meta")
        linear.weight = layer.weight
        found.set_submodule(name, linear)
    return found.requires_grad_(True)


# peft's files

_TENSORS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
# what would change an adapter's outputs and is not done here
_OTHER = ("use_dora", "use_qalora", "use_bdlora", "modules_to_save", "rank_pattern", "alpha_pattern", "lora_bias",
          "layer_replication", "trainable_token_indices", "alora_invocation_tokens", "fan_in_fan_out")  # fmt: skip


def save(decoder: Decoder, folder: Path, base: str = "") -> None:
    """Write the adapters as peft does. `base` names the checkpoint they belong to."""
    from safetensors.torch import save as to_bytes

    found = layers(decoder)
    if not found:
        raise ValueError("the decoder has no adapters to save")
    tensors = {}
    for stem, a, b in _named(found):
        tensors[f"{stem}.lora_A.weight"], tensors[f"{stem}.lora_B.weight"] = (t.detach().clone() for t in (a, b))
    lora = next(iter(found.values())).lora
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base or None, "bias": "none",
        "r": lora.r, "lora_alpha": lora.alpha, "lora_dropout": lora.dropout, "target_modules": sorted(lora.targets),
        "use_rslora": lora.rslora, "inference_mode": True,
        "init_lora_weights": lora.init == "kaiming" or "gaussian",
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    data = to_bytes(tensors, metadata={"format": "pt"})
    write_whole(folder / _TENSORS, lambda file: file.write(data))
    write(folder / _CONFIG, json.dumps(config, indent=2) + "\n")


def _named(found: dict[str, LoRALinear]) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    """peft's name of each adapter, its A and its B."""
    for name, layer in found.items():
        theirs = dict(zip(layer.parts, hub.their_names(f"{name}.weight"), strict=True))
        for part, (a, b) in layer.pairs().items():
            yield f"base_model.model.{theirs[part].removesuffix('.weight')}", a, b


@torch.no_grad()
def load(decoder: Decoder, folder: Path, dtype: torch.dtype | None = None) -> LoRA:
    """Adapt a plain decoder with what peft, or `save`, wrote. What this module cannot do is refused."""
    lora, tensors = _read(folder)
    adapt(decoder, lora, dtype)
    for stem, *pair in _named(layers(decoder)):
        for side, ours in zip("AB", pair, strict=True):
            value = tensors.pop(f"{stem}.lora_{side}.weight", None)
            if value is None or value.shape != ours.shape:
                found = "nothing" if value is None else f"{tuple(value.shape)}"
                raise ValueError(f"{folder / _TENSORS}: {stem}.lora_{side} is {found}, not {tuple(ours.shape)}")
            ours.copy_(value)
    if tensors:
        raise ValueError(f"{folder / _TENSORS}: {min(tensors)} belongs to no layer of this decoder")
    return lora


def _read(folder: Path) -> tuple[LoRA, dict[str, torch.Tensor]]:
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / _CONFIG).read_text("utf-8"))
        tensors = load_file(folder / _TENSORS)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder}: {error}; name a folder with {_CONFIG} and {_TENSORS}") from None
    odd = [key for key in _OTHER if config.get(key)]
    if config.get("peft_type") != "LORA" or config.get("bias", "none") != "none" or odd:
        told = odd[0] if odd else "peft_type, or bias"
        raise ValueError(f"{folder / _CONFIG}: {told} says that this is no plain LoRA, which is all that is read here")
    names = {name.rsplit(".", 3)[1] for name in tensors}
    init: Init = "gaussian" if config.get("init_lora_weights") == "gaussian" else "kaiming"
    lora = LoRA(
        config["r"], config["lora_alpha"], tuple(name for name in ALL if name in names) or tuple(sorted(names)),
        config.get("lora_dropout", 0.0), init, config.get("use_rslora", False),
    )  # fmt: skip
    return lora, tensors
