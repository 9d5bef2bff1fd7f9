"""What must hold in a record beyond the shape of its fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kb.json_file import JsonFile

if TYPE_CHECKING:
    from kb.results import Segment

SCHEMA = 1
CURVE = 200  # points


def check_record(json: JsonFile, raw: dict[str, Any], segments: Sequence[Segment]) -> None:
    """What is wrong in a record of the right shape."""
    check_schema(json)
    reached = 0
    for n, segment in enumerate(segments, 1):
        if segment.to_step < segment.from_step:
            told = f"segment {n} goes from step {segment.from_step} back to {segment.to_step}"
            json.say(told, json.line_of_key("to_step", n))
        elif segment.from_step > reached:
            told = f"segment {n} begins at step {segment.from_step}, and nothing came further than {reached}"
            json.say(told, json.line_of_key("from_step", n))
        reached = max(reached, segment.to_step)
    points = max(map(len, raw["curve"].values()), default=0)
    if points > CURVE:
        hint = "a record is read whole with every page; keep fewer"
        json.say(f"the curve has {points} points; {CURVE} are enough", json.line_of_key("curve"), hint, "warning")


def check_schema(json: JsonFile) -> None:
    schema = json.value.get("schema", SCHEMA)
    if schema != SCHEMA:
        json.say(
            f"schema is {schema!r}, and this kb reads {SCHEMA}", json.line_of_key("schema"), "use the kb of its time"
        )
