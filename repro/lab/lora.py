"""LoRA (Hu et al. 2021): frozen matrices W with a trained change of low rank, y = x (W + scale B A)^T, on any of a
decoder's linear layers, each by the name that the field gives it; in and out in peft's files.

Shapes: N tokens, I inputs of a layer, O outputs, r rank, n adapted parts of a fused layer, R = n r.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from contextlib import nullcontext
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
        flat = x.reshape(-1, x.shape[-1]).to(torch.get_autocast_dtype(kind) if cast else self.weight.dtype)
        with torch.autocast(kind, enabled=False) if cast else nullcontext():
            drops = self.training and self.lora.dropout > 0
            y = self._by_parts(flat) if drops else self._merged(flat)
        return y.view(*x.shape[:-1], -1)

    def _merged(self, x: torch.Tensor) -> torch.Tensor:
        """x (W + scale B A)^T: the sum is made anew at each step in the type of W, then rounded to that of x once, as
        autocast rounds the masters of full finetuning. So it costs what full finetuning costs, at any rank."""
        a, b, own = self.lora_A, self.block(), self.weight.dtype
        changed = torch.addmm(self.weight, b.to(own), a.to(own)).to(x.dtype)
        if not is_thin(len(a), *self.weight.shape):
            return x @ changed.T
        thin, of_attention = (x, changed.detach(), a.to(x.dtype), b.to(x.dtype)), "o_proj" in self.parts
        y: torch.Tensor = _Thin.apply(*thin, of_attention)  # type: ignore[no-untyped-call]
        return y

    def _by_parts(self, x: torch.Tensor) -> torch.Tensor:
        """x W^T, and x after dropout through A and each part's own B. The parts share one mask."""
        down = F.dropout(x, self.lora.dropout) @ self.lora_A.to(x.dtype).T
        base, pairs = (x @ self.weight.to(x.dtype).T).split(list(self.parts.values()), 1), self.pairs()
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


def is_thin(wide: int, rows: int, columns: int) -> bool:
    """Whether the gradients of A (R, I) and B (O, R) cost less from x and dy, 4 N R (I + O) FLOP, than from that of
    their product, 2 N O I."""
    return 2 * wide * (rows + columns) < rows * columns


class _Thin(torch.autograd.Function):
    """x (W + B A)^T whose gradients of A and B are made of x A^T and dy B, and none of W. Both of these come out of the
    products that are made anyway, as more columns of them: [y, x A^T] = x [W + B A; A]^T forwards, [dx, dy B] =
    dy [W + B A, B] backwards. By themselves they would read x and dy once more, which takes longer than their
    arithmetic.

    With `dense` dy B is made by itself all the same, so that dx is no part of wider rows. PyTorch keeps cuDNN's plan of
    attention's gradient by the layouts of q, k and v alone (until pytorch/pytorch#191576). Were the gradient that
    arrives laid out otherwise than when the plan was made, under adapters of another rank or in full finetuning in the
    same process, it would be read at the wrong places and beyond its end."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, changed: torch.Tensor, a: torch.Tensor, b: torch.Tensor, dense: bool
    ) -> torch.Tensor:
        """x (N, I), W + B A (O, I), a (R, I), b (O, R) of one type -> (N, O)."""
        y: torch.Tensor
        y, down = (x @ torch.cat((changed, a)).T).split((len(changed), len(a)), 1)
        ctx.save_for_backward(x, changed, b, down.contiguous())  # a view would keep y, too
        ctx.dense = dense
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        x, changed, b, down = ctx.saved_tensors
        (dy,) = grads
        if ctx.needs_input_grad[0] and not ctx.dense:
            dx, d_down = (dy @ torch.cat((changed, b), 1)).split((changed.shape[1], b.shape[1]), 1)
        else:
            dx, d_down = dy @ changed if ctx.needs_input_grad[0] else None, dy @ b
        return dx, None, d_down.T @ x, dy.T @ down, None


# Decoders


def adapt(decoder: Decoder, lora: LoRA, dtype: torch.dtype | None = None) -> Decoder:
    """Freeze a decoder and put adapters on the targets, in place. With `dtype` all of its matrices are kept in that
    type alone, which saves memory. In bf16 a change is then rounded together with a matrix that lies on bf16's own
    grid: what is smaller than half the spacing has no effect until it has grown."""
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
          "layer_replication", "trainable_token_indices", "alora_invocation_tokens", "fan_in_fan_out",
          "target_parameters", "arrow_config", "kasa_config", "monteclora_config")  # fmt: skip
# first values that leave the base as it is; the others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) take a part of each matrix
# into the adapters, and out of the base, which their file does not hold
_BASE_KEPT = (True, False, "gaussian", "eva", "orthogonal", "mica")


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
    if (init_told := config.get("init_lora_weights", True)) not in _BASE_KEPT:
        raise ValueError(
            f"{folder / _CONFIG}: init_lora_weights {json.dumps(init_told)} changed the base's matrices, which are not "
            "in this folder; save it as plain LoRA with peft's path_initial_model_for_weight_conversion"
        )
    names = {name.rsplit(".", 3)[1] for name in tensors}
    init: Init = "gaussian" if init_told == "gaussian" else "kaiming"
    lora = LoRA(
        config["r"], config["lora_alpha"], tuple(name for name in ALL if name in names) or tuple(sorted(names)),
        config.get("lora_dropout", 0.0), init, config.get("use_rslora", False),
    )  # fmt: skip
    return lora, tensors
