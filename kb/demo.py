"""`make demo`: the main job from end to end, on a copy of these notes in out/demo, so that nothing tracked changes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "out" / "demo"
LIST = ROOT / "notes" / "guide" / "messy-list.txt"


def main() -> None:
    """Copy the vault, then run the verbs that a person would, each shown with its command."""
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir(parents=True)
    shutil.copytree(ROOT / "notes", DEMO / "notes")
    shutil.copy(ROOT / "mkdocs.yml", DEMO)
    _say("These are the notes of this repository, copied to out/demo:")
    _kb("list")
    _say("A messy reading list (notes/guide/messy-list.txt) becomes notes, every line accounted for:")
    _kb("import", str(LIST.relative_to(ROOT)))
    _say("Importing it again changes nothing:")
    _kb("import", str(LIST.relative_to(ROOT)))
    _say("Where the reading stands:")
    _kb("status")
    _say("What is wrong in the notes (nothing), and where they speak of something:")
    _kb("check")
    _kb("search", "posterior mean")
    _say("The site:")
    _kb("build", "--strict")
    _say("A reproduction: DDPM in small, about a minute, into out/demo; then its claims, judged from that one run:")
    run = str(DEMO.relative_to(ROOT) / "ddpm-smoke")
    _kb("run", "ddpm", "smoke", "--", "--out", run)
    _run("python", "-m", "repro.ddpm.claims", "--runs", run)
    _say("What the committed runs of all seeds say (kb claims tells it of every paper here):")
    _kb("claims", "ddpm")
    vault = DEMO.relative_to(ROOT)
    print(f"\nOpen  {vault}/site/index.html\nType  . .venv/bin/activate")
    print(f"      kb --root {vault} serve             the site, alive while you write")
    print(f"      kb --root {vault} add 2106.09685    a note of any arXiv paper or URL")
    print(f"      kb --root {vault} undo              takes the import back")
    print("      kb init ~/papers                    a vault of your own")


def _say(text: str) -> None:
    print(f"\n{text}", flush=True)


def _kb(*args: str) -> None:
    print(f"$ kb {' '.join(args)}", flush=True)
    _finish([sys.executable, "-m", "kb", "--root", str(DEMO), *args])


def _run(*command: str) -> None:
    print(f"$ {' '.join(command)}", flush=True)
    _finish([sys.executable, *command[1:]])


def _finish(command: list[str]) -> None:
    ended = subprocess.run(command, cwd=ROOT, check=False).returncode
    if ended:
        sys.exit(f"the demo stopped: `{' '.join(command[1:])}` ended with {ended}")


if __name__ == "__main__":
    main()
