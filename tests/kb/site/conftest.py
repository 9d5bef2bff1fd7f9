"""One vault with a note for every trap, built once, and a browser on it."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from reproductions import MODEL, TRAIN, claim, judged, record, write

pytest.importorskip("mkdocs", reason="the site extra is not installed")

from kb.site.build import BuildReport, build  # noqa: E402

MKDOCS = (Path(__file__).parents[3] / "kb/site/vault_mkdocs.yml").read_text()

NOTES = {
    "index.md": "---\ntitle: My papers\n---\n\nWhat I read.\n",
    "papers/ddpm.md": """---
title: Denoising Diffusion Probabilistic Models
kind: paper
status: reading
at: section 3.2
authors: [Jonathan Ho, Ajay Jain, Pieter Abbeel]
year: 2020
venue: NeurIPS
arxiv: "2006.11239"
code: https://github.com/hojonathanho/diffusion
added: 2025-01-04
started: 2025-03-05
tags: [diffusion, C++, c, ml/generative]
aliases: [DDPM]
repro: toy
abstract: High quality image synthesis with $L_2$ & more.
results:
  - {task: images, data: CIFAR-10, metric: FID, value: 3.17, where: Table 1}
---

# Denoising Diffusion Probabilistic Models

With $\\alpha_t = 1 - \\beta_t$ it costs $5 and gives a <b>chain</b>. Seen in [[secret-plan]] too.

$$
x_t = \\sqrt{\\bar\\alpha_t}\\,x_0
 + \\sqrt{1-\\bar\\alpha_t}\\,\\epsilon \\quad\\text{for } a<b
$$

## The *loss* term

- one
  - two with $x_{1}$ and `$not math$`
    - three

| a | b |
|---|---|
| [[unet\\|the network]] | `[[unet]]` |

    indented $code$ [[unet]]

```python
print("$x$ [[unet]]")
```
""",
    "papers/unet.md": """---
title: U-Net & friends <b>
kind: paper
status: read
authors: [{family: Ronneberger, given: Olaf}]
year: 2015
finished: 2025-02-01
added: 2025-01-01
tags: [c, ml]
part_of: secret-plan
wanted: [deep-nets]
---

The backbone of [[DDPM]]. See [[ddpm#The loss term]], [[ddpm|the diffusion *paper*]] and ![[ddpm]].
Later [[deep-nets]] is wanted, as is a [relative link](ddpm.md#the-loss-term).

The plan is in [[secret-plan]], [[Codename Nightjar|the plan]], [[nightjar-alias]] and
[[secret-plan|Codename Nightjar]]; also [here](../topics/secret-plan.md) and
<a href="../secret-plan/">raw</a>. <!-- [[secret-plan]] --> `[[secret-plan]]`

![remote](https://tracker.example/pixel.png) ![[figure.png|120]]
<script>document.title = "owned"</script> <img src="https://tracker.example/b.png" onerror="alert(1)">
<iframe src="https://video.example/embed/1"></iframe>

> [!note] Mind this
> - a
>   - b
""",
    "topics/secret-plan.md": """---
title: Codename Nightjar
kind: topic
private: true
tags: [clandestine]
aliases: [nightjar-alias]
year: 1987
url: https://nightjar.example/plan
---

Hidden, with [[ddpm]] and ![[hidden-figure.png]].
""",
    "topics/diffusion.md": """---
title: Diffusion
kind: topic
tags: [diffusion]
---

All about noise: [[ddpm]], then [[unet]].
""",
    "courses/cs336.md": "---\ntitle: Models from scratch\nkind: course\nstatus: to-read\n---\n\nLectures.\n",
    "talks/lecture-1.md": "---\ntitle: Lecture 1\nkind: lecture\npart_of: cs336\nstatus: read\n---\n\nOverview.\n",
    "posts/long.md": "---\ntitle: Long-winded\n---\n\nNothing of it.\n"
    + 3 * f"\n{'A zygote, as ever, divides. ' * 40}\n",
    "guide/write-a-note.md": "---\ntitle: Write a note\n---\n\nLike [[ddpm]].\n",
}  # fmt: skip
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


MakeVault = Callable[[Path, dict[str, str]], Path]


def _write_vault(root: Path, notes: dict[str, str]) -> Path:
    (root / "mkdocs.yml").parent.mkdir(parents=True, exist_ok=True)
    (root / "mkdocs.yml").write_text(MKDOCS)
    for name, text in notes.items():
        path = root / "notes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def make_vault() -> MakeVault:
    """Writes notes and the mkdocs.yml of a new vault under a folder."""
    return _write_vault


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = _write_vault(tmp_path_factory.mktemp("vault"), NOTES)
    write(root, code={"train.py": TRAIN.format(paper="toy"), "model.py": MODEL})
    records = [record(seed=s, figures=[f"smoke-s{s}-samples.png"]) for s in range(3)]
    rows = [judged("T-1"), claim("T-2", recipes=["gpu"]), judged("T-3", verdict="unclear", mean=-0.01)]
    exact = {"tier": "exact", "effects": [1.0], "recipes": []}
    rows += [claim(f"T-{v}", verdict=v, **exact, expected=[1.0 + (v == "fails")]) for v in ("fails", "equivalent")]
    write(root, claims=rows, records=records)
    for name in ("figure.png", "hidden-figure.png"):
        (root / "notes/papers" / name).write_bytes(PNG)
    return root


@pytest.fixture(scope="session")
def report(vault: Path) -> BuildReport:
    return build(vault, quiet=True)


@pytest.fixture(scope="session")
def site(report: BuildReport) -> Path:
    return report.site_dir


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def url(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def chromium() -> str:
    found = "/usr/bin/chromium" if Path("/usr/bin/chromium").exists() else shutil.which("chromium")
    if not found:
        pytest.skip("no chromium")
    return found
