"""What a token costs."""

from __future__ import annotations

import time

import pytest
from decoders import tiny

from repro.lab import speed
from repro.lab.speed import decode_speed


def test_the_figures_follow_from_one_another(monkeypatch):
    clock = iter([0.0, 9.0, 10.0, 11.0, 20.0, 24.0, 30.0, 32.0])  # 9 s to warm up, then 1, 4 and 2 s
    monkeypatch.setattr(speed, "time", type("Clock", (), {"perf_counter": staticmethod(lambda: next(clock))}))
    found = decode_speed(tiny(), batch=4, prompt=8, new_tokens=20, repeats=3)
    assert found["ms_per_token"] == pytest.approx(1e3 * 2.0 / 20)
    assert found["tokens_per_s"] == pytest.approx(4 * 20 / 2.0)
    assert found["kv_bytes_per_token"] == 3 * 2 * 2 * 8 * 4


def test_it_measures_this_machine():
    began = time.perf_counter()
    found = decode_speed(tiny(), batch=1, prompt=4, new_tokens=10, repeats=1)
    assert 0 < 2 * 10 * found["ms_per_token"] / 1e3 < 2 * (time.perf_counter() - began)
