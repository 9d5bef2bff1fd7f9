"""A training step as one CUDA graph: launched once instead of a thousand times, with the host out of the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from repro.lab.checkpoint import TrainState

Tensors = tuple[torch.Tensor, ...]


class CapturedStep:
    """`step(*inputs) -> outputs`, captured on its first call and replayed on every other. Inputs are copied into the
    graph's own tensors; outputs are the graph's and hold until the next call. Capturing runs the step a few times; what
    that did to `state` is put back, so that the first call is the first step. Random numbers follow torch.manual_seed
    at each call, as they do without a graph."""

    def __init__(self, step: Callable[..., Tensors], state: TrainState, warmups: int = 3) -> None:
        self.step, self.state, self.warmups = step, state, warmups
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Tensors = ()
        self.outputs: Tensors = ()

    def __call__(self, *inputs: torch.Tensor) -> Tensors:
        if self.graph is None:
            self._capture(inputs)
        for mine, given in zip(self.inputs, inputs, strict=True):
            mine.copy_(given)
        assert self.graph is not None
        self.graph.replay()
        return self.outputs

    def _capture(self, inputs: Tensors) -> None:
        self.inputs = tuple(x.clone() for x in inputs)
        before = [(t, t.clone()) for t in _tensors(self.state)]
        random = torch.cuda.get_rng_state()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(self.warmups):
                self.step(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.outputs = self.step(*self.inputs)
        known = {id(t) for t, _ in before}
        for tensor in _tensors(self.state):
            if id(tensor) not in known:  # an optimizer's moments, which begin at zero
                tensor.zero_()
        for tensor, value in before:
            tensor.copy_(value)
        torch.cuda.set_rng_state(random)
        self.graph = graph


def _tensors(state: TrainState) -> list[torch.Tensor]:
    """Everything of a state that a step changes in place."""
    found: list[Any] = [*state.model.parameters(), *state.model.buffers()]
    if state.ema is not None:
        found += [*state.ema.parameters(), *state.ema.buffers()]
    for moments in state.optimizer.state.values():
        found += [m for m in moments.values() if isinstance(m, torch.Tensor)]
    return [t.data for t in found]
