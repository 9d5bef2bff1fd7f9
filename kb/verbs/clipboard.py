"""The text on the clipboard, by the program that each desktop has for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from kb.problem import KbError

_POWERSHELL = ("-NoProfile", "-Command", "[Console]::OutputEncoding=[Text.Encoding]::UTF8; Get-Clipboard -Raw")
_LARGEST = 16 << 20


def _commands() -> list[tuple[str, ...]]:
    """The programs to try, those of this desktop first."""
    wayland = ("wl-paste", "--no-newline")
    x11 = [("xclip", "-selection", "clipboard", "-o"), ("xsel", "--clipboard", "--output")]
    windows: list[tuple[str, ...]] = [("powershell.exe", *_POWERSHELL), ("pwsh", *_POWERSHELL)]
    if sys.platform == "darwin":
        return [("pbpaste",)]
    if os.name == "nt":
        return windows
    desktop = [wayland, *x11] if os.environ.get("WAYLAND_DISPLAY") else [*x11, wayland]
    return [*desktop, ("termux-clipboard-get",), windows[0], ("pbpaste",)]  # powershell.exe: Linux inside Windows


def paste() -> str:
    """What was copied last. A KbError where nothing is there, or no program can tell."""
    found = [(path, *command[1:]) for command in _commands() if (path := shutil.which(command[0]))]
    if not found:
        wanted = "wl-clipboard, xclip or xsel" if sys.platform.startswith("linux") else "pbpaste or PowerShell"
        raise KbError(f"no program here reads the clipboard; install {wanted}, or paste into `kb add -`")
    told = ""
    for command in found:
        try:
            ended = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            told = told or getattr(error, "strerror", None) or "no answer in 10 seconds"
            continue
        if not ended.returncode:
            return _text(ended.stdout)
        told = (
            told or " ".join(ended.stderr.decode("utf-8", "replace").split())[:120] or f"exit code {ended.returncode}"
        )
    name = os.path.basename(found[0][0])
    raise KbError(f"the clipboard cannot be read ({name}: {told}); copy again, or paste into `kb add -`")


def _text(data: bytes) -> str:
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").lstrip("\ufeff")
    if not text.strip() or len(data) > _LARGEST:
        raise KbError("the clipboard holds no text to add; copy a reference first")
    return text
