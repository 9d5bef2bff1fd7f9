"""What the benchmarks of GPU code share: event-timed windows, one JSON line a figure, a profile by kernel."""

from __future__ import annotations

import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def say(case: str, what: str, value: float, unit: str, **more: Any) -> None:
    """One figure as a line of JSON."""
    device = torch.cuda.get_device_name()
    row = {"case": case, "what": what, "value": float(f"{value:.5g}"), "unit": unit, "device": device} | more
    print(json.dumps(row), flush=True)


def apart(call: Callable[..., None], *args: Any) -> None:
    """Call in a process of its own, as a peer is run that has its GPU and its compiler to itself: compiled after our
    own models in one process, transformers' step came out at its eager speed, without a word."""
    process = multiprocessing.get_context("spawn").Process(target=call, args=args)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{call.__name__} {args} ended with {process.exitcode}")


def seconds_a_call(call: Callable[[int], Any], seconds: float) -> float:
    """The median of event-timed windows of ten calls, after warming up."""
    for i in range(5):
        call(i)
    torch.cuda.synchronize()
    windows, began, n = [], time.monotonic(), 5
    while time.monotonic() - began < seconds or len(windows) < 3:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(10):
            call(n)
            n += 1
        end.record()
        end.synchronize()
        windows.append(start.elapsed_time(end) / 1e4)
    return statistics.median(windows)


def show_profile(call: Callable[[], Any], lines: int = 45) -> None:
    """The kernels of three calls, the longest first."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        for _ in range(3):
            call()
        torch.cuda.synchronize()
    rows = sorted(found.key_averages(), key=lambda e: -e.self_device_time_total)
    total = sum(e.self_device_time_total for e in rows)
    print(f"profile: {total / 3e3:.2f} ms a step in {sum(e.count for e in rows) / 3:.0f} kernels")
    for e in rows[:lines]:
        ms, share = e.self_device_time_total / 3e3, 100 * e.self_device_time_total / total
        print(f"{ms:8.3f} ms {share:5.1f} %  x{e.count / 3:<5.0f} {e.key[:150]}")
