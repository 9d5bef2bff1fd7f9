"""What `kb build` and `kb serve` call: reports, failures in one line, and live rebuilds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from kb.extras import install
from kb.problem import KbError
from kb.site.build import build, serve

MakeVault = Callable[[Path, dict[str, str]], Path]
FINE = {"index.md": "---\ntitle: Home\n---\n", "papers/a.md": "---\ntitle: A\n---\n\nText.\n"}
BROKEN = FINE | {"papers/b.md": "---\ntitle: B\n---\n\n[[nowhere]]\n"}


def test_strict_fails_on_a_warning_and_names_it(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, BROKEN)
    with pytest.raises(KbError, match=r"1 warning.*notes/papers/b.md:5: link.*kb check"):
        build(root, strict=True, quiet=True)
    assert (
        build(root, quiet=True).warnings and build(make_vault(tmp_path / "fine", FINE), strict=True, quiet=True).pages
    )


def test_the_site_goes_where_it_is_told(tmp_path: Path, make_vault: MakeVault) -> None:
    report = build(make_vault(tmp_path / "v", FINE), site_dir=tmp_path / "out", quiet=True)
    assert report.site_dir == tmp_path / "out" and (tmp_path / "out/papers/a/index.html").exists()


def test_warnings_are_printed_unless_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make_vault: MakeVault
) -> None:
    build(make_vault(tmp_path, BROKEN))
    assert "notes/papers/b.md:5: link" in capsys.readouterr().err
    build(tmp_path, quiet=True)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        "site_name: [",
        "docs_dir: notes\n",
        "site_name: x\ndocs_dir: notes\nplugins: [nonsense]\n",
        "- a\n",
        "site_name: x\ntheme: {name: material}\nplugins: [kb]\n",
    ],
)
def test_a_broken_mkdocs_yml_is_named_in_one_line(tmp_path: Path, text: str, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, FINE)
    (root / "docs").mkdir()
    (root / "mkdocs.yml").write_text(text)
    with pytest.raises(KbError) as failure:
        build(root, quiet=True)
    assert "mkdocs.yml" in str(failure.value) and "\n" not in str(failure.value)
    assert "nonsense" not in text or "nonsense" in str(failure.value)


def test_a_folder_without_mkdocs_yml_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(KbError, match="kb init"):
        build(tmp_path)


def test_without_mkdocs_the_remedy_is_named() -> None:
    code = "import sys; sys.modules['mkdocs'] = None\nimport kb.site.build"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.endswith(f"KbError: `kb build` needs mkdocs: {install('site')}\n")


def test_a_port_in_use_is_told_with_another(tmp_path: Path, make_vault: MakeVault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(KbError, match=rf"port {port} is in use; `kb serve --port {port + 1}`"):
            serve(make_vault(tmp_path, FINE), port=port)


def _until(url: str, holds: Callable[[str], bool], seconds: float = 20) -> str:
    """The page at `url`, once it is as wanted; a missing page is the empty text."""
    end = time.monotonic() + seconds
    while True:
        try:
            text = urllib.request.urlopen(url, timeout=15).read().decode()
        except urllib.error.HTTPError:
            text = ""
        except OSError:
            text = "not up"
        if holds(text):
            return text
        assert time.monotonic() < end, text[:2000]
        time.sleep(0.1)


def test_serve_follows_edits_adds_deletes_and_mistakes(tmp_path: Path, make_vault: MakeVault) -> None:
    root = make_vault(tmp_path, FINE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    code = f"from pathlib import Path; from kb.site.build import serve; serve(Path({str(root)!r}), port={port})"
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    server = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL)
    try:
        base = f"http://127.0.0.1:{port}/"
        _until(base + "papers/a/", lambda text: "Text." in text)
        (root / "notes/papers/a.md").write_text("---\ntitle: [A\nyear: x\n---\n\nEdited [[b]].\n")
        _until(base + "papers/a/", lambda text: "Edited" in text and "kb-missing" in text)
        (root / "notes/papers/b.md").write_text("---\ntitle: Bee\nkind: paper\n---\n\nNew.\n")
        _until(base + "papers/b/", lambda text: "New." in text and "Linked from" in text)
        assert ">Bee</a>" in _until(base + "papers/a/", lambda text: "kb-missing" not in text)
        (root / "notes/papers/b.md").unlink()
        _until(base + "papers/b/", lambda text: text == "" or "404" in text)
    finally:
        server.terminate()
        server.wait(10)
