"""The verb that makes one note of two."""

from typing import Annotated

import typer

from kb.cli.shared import Json, app, changing, known_ids, show_lines


@app.command()
def merge(
    keep: Annotated[str, typer.Argument(help="The note that stays, by any of its names.", autocompletion=known_ids)],
    other: Annotated[str, typer.Argument(help="The note that goes into it.", autocompletion=known_ids)],
    json: Json = False,
) -> None:
    """Make one note of two that are one work: what OTHER says is filled in, its text stands below, its names become
    aliases so that every link goes on leading there. `kb undo` takes it back."""
    from kb.render import printable, to_json
    from kb.verbs.merge import merge_notes

    done = changing(lambda library: merge_notes(library, library.find(keep), library.find(other)))
    if json:
        print(to_json({"path": done.path, "gone": done.gone, "notes": done.notes, "left": done.left}))
        return
    print(f"merged {done.gone} into {done.path}")
    show_lines(f"turned the links of {path}" for path in done.notes)
    show_lines(printable(f"left out {value}") for value in done.left)
