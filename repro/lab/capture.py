"""Work on the GPU as one CUDA graph: launched once instead of a thousand times, with the host out of the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from repro.lab.checkpoint import TrainState
from repro.lab.distributed import World

Tensors = tuple[torch.Tensor, ...]
T = TypeVar("T")


def capture(call: Callable[[], T], changed: Callable[[], Sequence[torch.Tensor]]) -> tuple[torch.cuda.CUDAGraph, T]:
    """A graph that does what `call` does, and the tensors it leaves its results in. Capturing runs `call` a few times:
    what that does to the tensors that `changed` lists is put back, those that come into being meanwhile (an optimizer's
    moments) begin at zero, and so do the random numbers, so that the first replay is the first call."""
    before = [(t, t.detach().clone()) for t in changed()]
    random = torch.cuda.get_rng_state()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()
    known = {id(t) for t, _ in before}
    with torch.no_grad():
        for tensor in changed():
            if id(tensor) not in known:
                tensor.zero_()
        for tensor, value in before:
            tensor.copy_(value)
    torch.cuda.set_rng_state(random)
    return graph, results


class CapturedStep:
    """`step(*inputs) -> outputs`, captured on its first call and replayed on every other. Inputs are copied into the
    graph's own tensors; outputs are the graph's and hold until the next call. The first call is the first step of
    `state`. Random numbers follow torch.manual_seed at each call, as they do without a graph."""

    def __init__(self, step: Callable[..., Tensors], state: TrainState) -> None:
        self.step, self.state = step, state
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: Tensors = ()
        self.outputs: Tensors = ()

    def __call__(self, *inputs: torch.Tensor) -> Tensors:
        if self.graph is None:
            self.inputs = tuple(x.clone() for x in inputs)
            self.graph, self.outputs = capture(lambda: self.step(*self.inputs), lambda: _tensors(self.state))
        for mine, given in zip(self.inputs, inputs, strict=True):
            mine.copy_(given)
        self.graph.replay()
        return self.outputs


def captured(step: Callable[..., Tensors], state: TrainState, world: World) -> Callable[..., Tensors]:
    """`step` as a graph where one GPU takes it alone, else as it is: ranks exchange gradients in the middle of one."""
    return CapturedStep(step, state) if world.device.type == "cuda" and world.size == 1 else step


def _tensors(state: TrainState) -> list[torch.Tensor]:
    """Everything of a state that a step changes in place."""
    found: list[torch.Tensor] = [*state.model.parameters(), *state.model.buffers()]
    if state.ema is not None:
        found += [*state.ema.parameters(), *state.ema.buffers()]
    for moments in state.optimizer.state.values():
        found += [m for m in moments.values() if isinstance(m, torch.Tensor)]
    return found
