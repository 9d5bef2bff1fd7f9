"""The steps of a change, a file each: made ready beside the file, put in its place, looked at once more, taken back.

A file is put in its place only where it holds what was read. On a disk where two files can trade places (`exchange`)
what the old name held goes to the temporary name and is compared once more before the change counts: text that somebody
saved in between is found and put back. What remains: a program that holds the old file open and writes to it after that
look; on other disks, the moment between the comparison and the rename; for a note with several hard links, which must
keep its inode and is written in place, the moment between the comparison and the write.

Each step knows from what it finds how far it came, so that taking back can itself be cut off and begun again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kb.disk import drop, exchange, give_name, make_folder, overwrite, read, torn, write_new


class Changed(Exception):
    """A file holds something else than what was read; the argument is its path in the vault."""


def hash_of(data: bytes | None) -> str | None:
    import hashlib  # after the verbs that only read have begun

    return None if data is None else hashlib.sha256(data).hexdigest()


@dataclass
class Step:
    """`path` in the vault at `root` goes from the bytes `old` to those with the hash `new` (None: there is no file).
    `data` are the new bytes, where they are at hand; `was` says what else an old file had: its mode, or where it led
    as a link."""

    root: Path
    path: str
    temp: str  # begins the names of what lies beside the file while the change is made
    old: bytes | None
    new: str | None
    data: bytes | None = None
    was: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""  # where a link led when the change began, from the root

    @property
    def name(self) -> Path:
        return self.root / self.path

    @property
    def target(self) -> Path:
        """The file itself, where the name is a link to it."""
        root = os.path.realpath(self.root)
        return Path(os.path.normpath(os.path.join(root, self.file or self.path)))

    @property
    def is_there(self) -> bool:
        """Whether the name leads to the file that it led to."""
        return os.path.realpath(self.name) == str(self.target)

    @property
    def folders(self) -> set[Path]:
        return {self.name.parent, self.target.parent}

    def beside(self, suffix: str) -> Path:
        return self.target.parent / f"{self.temp}.{suffix}"

    def stage(self) -> None:
        """All that takes room on the disk, before any file is touched."""

    def place(self) -> None:
        """The change itself. `Changed` where the file is not what was read."""
        raise NotImplementedError

    def verify(self) -> None:
        """`Changed` where somebody wrote between the comparison and the change."""

    def take_back(self) -> bool:
        """As it was before; False where somebody has written since: that stays."""
        raise NotImplementedError

    def clean(self) -> None:
        """Remove what lies beside the file."""
        for suffix in ("part", "tmp", "back"):
            drop(self.beside(suffix))

    def _whole(self, data: bytes, like: os.stat_result | None = None, mode: int | None = None) -> None:
        """A new file beside ours, under a name that only a whole one has."""
        part, temp = self.beside("part"), self.beside("tmp")
        drop(part)
        write_new(part, data, like, mode)
        os.replace(part, temp)


class Replace(Step):
    """Other bytes for a file that is there. A link stays one: the file that it leads to is replaced."""

    def stage(self) -> None:
        self._whole(self.data or b"", os.stat(self.target))

    def place(self) -> None:
        if read(self.target) != self.old or not self.is_there:
            raise Changed(self.path)
        if not exchange(self.beside("tmp"), self.target):
            os.replace(self.beside("tmp"), self.target)

    def verify(self) -> None:
        if read(self.beside("tmp")) not in (None, self.old) or not self.is_there:
            raise Changed(self.path)

    def take_back(self) -> bool:
        temp = self.beside("tmp")
        if hash_of(read(self.target)) == self.new:
            if not temp.exists():
                self._whole(self.old or b"", os.stat(self.target))
            self._swap_back()
        found = read(temp)
        if found in (None, self.old) or hash_of(found) == self.new:
            self.clean()  # else it is of a person who wrote twice, and stays
        return read(self.target) == self.old

    def _swap_back(self) -> None:
        temp = self.beside("tmp")
        if not exchange(temp, self.target):
            os.replace(temp, self.target)
        elif hash_of(read(temp)) != self.new:  # written at this very moment
            exchange(temp, self.target)


class InPlace(Step):
    """Other bytes for a file with several names: all of them go on naming it. Both old and new bytes are in the
    journal, so that a file whose writing was cut off is known for one."""

    def place(self) -> None:
        if not overwrite(self.target, self.data or b"", self.old or b""):
            raise Changed(self.path)

    def take_back(self) -> bool:
        now, old = read(self.target), self.old or b""
        if now is not None and now != old and torn(now, old, self.data or b""):
            overwrite(self.target, old, now)
        return read(self.target) == old


class Create(Step):
    """A file where there is none; of `was` it takes its mode, or that it is a link to a file with these very bytes."""

    @property
    def target(self) -> Path:
        return self.name if "link" in self.was else super().target

    def stage(self) -> None:
        make_folder(self.target.parent)
        link, data = self.was.get("link"), self.data or b""
        if link is not None and read(self.name.parent / link) == data:
            drop(self.beside("tmp"))
            os.symlink(link, self.beside("tmp"))
        else:
            self._whole(data, mode=self.was.get("mode"))

    def place(self) -> None:
        if not give_name(self.beside("tmp"), self.target):
            raise Changed(self.path)

    def take_back(self) -> bool:
        back, target = self.beside("back"), self.target
        if not os.path.lexists(back) and hash_of(read(target)) == self.new:
            os.rename(target, back)
        if os.path.lexists(back) and hash_of(read(back)) != self.new:  # written at this very moment
            give_name(back, target)
        self.clean()
        return read(target) is None


class Remove(Step):
    """No file where there is one. Of a link the link goes."""

    def beside(self, suffix: str) -> Path:
        return self.name.parent / f"{self.temp}.{suffix}"

    def place(self) -> None:
        if read(self.name) != self.old:
            raise Changed(self.path)
        os.rename(self.name, self.beside("tmp"))

    def verify(self) -> None:
        if read(self.beside("tmp")) != self.old:
            raise Changed(self.path)

    def take_back(self) -> bool:
        kept = self.beside("tmp")
        if os.path.lexists(kept):
            given = give_name(kept, self.name)
            if not given and read(kept) == self.old:
                kept.unlink()
        elif not os.path.lexists(self.name):
            again = Create(self.root, self.path, f"{self.temp}-again", None, hash_of(self.old), self.old, self.was)
            again.stage()
            again.place()
        return read(self.name) == self.old


class Move(Step):
    """Another name for a file, and perhaps other bytes: it stays the file or the link that it is. `source` is the path
    it had; `inner` is the step that its bytes take under the new name."""

    source: str = ""
    inner: Step | None = None

    @property
    def before(self) -> Path:
        return self.root / self.source

    @property
    def folders(self) -> set[Path]:
        return {self.before.parent, *super().folders}

    def stage(self) -> None:
        make_folder(self.name.parent)

    def place(self) -> None:
        if read(self.before) != self.old:
            raise Changed(self.source)
        if not give_name(self.before, self.name):
            raise Changed(self.path)
        if self.inner:
            self.inner.stage()
            self.inner.place()

    def verify(self) -> None:
        if self.inner:
            self.inner.verify()

    def take_back(self) -> bool:
        if not os.path.lexists(self.before):
            if self.inner and os.path.lexists(self.name):
                self.inner.take_back()
            if os.path.lexists(self.name):
                give_name(self.name, self.before)
        elif os.path.lexists(self.name) and os.path.samestat(os.lstat(self.name), os.lstat(self.before)):
            os.unlink(self.name)  # it had both names for a moment
        self.clean()
        return read(self.before) == self.old

    def clean(self) -> None:
        if self.inner:
            self.inner.clean()


def kind_of(path: Path) -> dict[str, Any]:
    """What a change is to remember of a file beside its bytes: where it leads as a link, else its mode."""
    found = os.lstat(path)
    return {"link": os.readlink(path)} if stat.S_ISLNK(found.st_mode) else {"mode": found.st_mode & 0o7777}


def has_names(path: Path) -> bool:
    """Whether there is a file and it has several hard links."""
    try:
        return os.stat(path).st_nlink > 1
    except FileNotFoundError:
        return False
