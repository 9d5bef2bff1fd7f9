"""What a person reads when a service is not there."""

from __future__ import annotations

import socket

import pytest

from kb.sources.http import Client, Unreachable


def test_the_reason_is_in_words() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Unreachable) as failure:
        Client().get(f"http://127.0.0.1:{port}/x")
    told = "cannot be reached (Connection refused); check the address and the network"
    assert str(failure.value).endswith(told) and "Errno" not in str(failure.value)
