"""A folder of models is exchanged as a whole, wherever the exchange stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from tapas_opt.learn.folder import candidate_of, in_use, previous_of, promote, stage

OLD, NEW = ({"a.json": f"{which} a", "b.json": f"{which} b"} for which in ("old", "new"))


class PowerCut(BaseException):
    """The machine stops; nothing below may catch it."""


def files_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.json"))}


def filled(folder: Path) -> Path:
    stage(OLD, folder)
    promote(folder)
    return folder


def test_the_first_set_has_no_previous_one(tmp_path):
    folder = filled(tmp_path / "models")
    assert files_of(in_use(folder)) == OLD
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json"]


def test_a_staged_set_is_not_in_use(tmp_path):
    folder = filled(tmp_path)
    assert files_of(stage(NEW, folder)) == NEW
    assert files_of(in_use(folder)) == OLD


def test_a_promoted_set_is_in_use_and_the_one_before_is_kept(tmp_path):
    folder = filled(tmp_path)
    stage(NEW, folder)
    promote(folder)
    assert files_of(in_use(folder)) == files_of(folder) == NEW
    assert files_of(previous_of(folder)) == OLD
    assert not candidate_of(folder).exists()


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "README.md").write_text("ours")
    filled(tmp_path)
    assert (tmp_path / "README.md").read_text() == "ours"


@pytest.mark.parametrize("step", range(1, 60))
def test_wherever_the_machine_stops_the_set_in_use_is_whole(tmp_path, monkeypatch, step):
    """The power goes before the n-th change on disk; the set in use is one of the two, and the next promotion works."""
    folder, left = filled(tmp_path), step

    def cut_short(change):
        def changed(*arguments, **options):
            nonlocal left
            left -= 1
            if left == 0:
                raise PowerCut
            return change(*arguments, **options)

        return changed

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "mkdir"):
            patch.setattr(Path, name, cut_short(getattr(Path, name)))
        for name in ("fsync", "unlink", "rmdir"):
            patch.setattr(f"os.{name}", cut_short(getattr(__import__("os"), name)))
        try:
            stage(NEW, folder)
            promote(folder)
        except PowerCut:
            pass
    assert files_of(in_use(folder)) in (OLD, NEW)
    assert left > 0 or step < 59, "the last step must lie beyond the last change"
    stage({"a.json": "newest a", "b.json": "newest b"}, folder)
    promote(folder)
    assert files_of(in_use(folder)) == {"a.json": "newest a", "b.json": "newest b"}
    assert files_of(previous_of(folder)) in (OLD, NEW)
