"""Files whole or not at all; what a killed, full or forbidden writing leaves; modes; two writers at once."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from index.io.atomic import new_file, remove_leftovers, write_whole
from index.io.outputs import OutputError, check_file

ROOT = Path(__file__).parents[2]
MARKER = "Mammakarzinom der Frau Markerli"
posix = pytest.mark.skipif(os.name != "posix", reason="modes and signals of POSIX")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def writer(folder: Path) -> subprocess.Popen[str]:
    """A process that has half-written a text beside `folder`/out.csv when it has printed a line."""
    code = f"""
import signal, time
from pathlib import Path
from index.io.atomic import new_file
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
with new_file(Path({str(folder / "out.csv")!r})) as half, half.open("w") as stream:
    stream.write({MARKER!r}); stream.flush(); print(half, flush=True)
    time.sleep(60)
"""
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_file_appears_whole_under_its_name_only(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.csv") as half, half.open("w") as stream:
        stream.write("one\n")
        assert names(tmp_path) == [half.name] and half.parent == tmp_path
    assert names(tmp_path) == ["a.csv"] and (tmp_path / "a.csv").read_text() == "one\n"
    write_whole(tmp_path / "a.csv", "ä\n")
    write_whole(tmp_path / "b", b"\0\r\n")
    assert (tmp_path / "a.csv").read_bytes() == "ä\n".encode() and (tmp_path / "b").read_bytes() == b"\0\r\n"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(error), new_file(tmp_path / "a") as half:
        half.write_text(MARKER)
        raise error
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_is_600_while_it_is_written_then_that_of_the_old_file_or_the_umask(
    tmp_path: Path, mask: int
) -> None:
    before = os.umask(mask)
    try:
        for old, private, expected in [
            (None, False, 0o666 & ~mask),
            (0o640, False, 0o640),
            (0o644, True, 0o600),
        ]:
            path = tmp_path / f"{old}"
            if old is not None:
                path.touch()
                path.chmod(old)
            with new_file(path, private=private) as half:
                assert mode(half) == 0o600
            assert mode(path) == expected
        assert os.umask(mask) == mask
    finally:
        os.umask(before)


@posix
def test_what_a_killed_writer_left_goes_with_the_next_run_and_a_living_one_keeps_its_file(
    tmp_path: Path,
) -> None:
    killed, living = writer(tmp_path), writer(tmp_path)
    try:
        left, kept = (Path(process.stdout.readline().strip()) for process in (killed, living))  # type: ignore[union-attr]
        killed.kill()
        killed.wait()
        assert MARKER in left.read_text() and mode(left) == 0o600
        # Another name in the same folder, in a process of its own, as the next run is.
        code = "import sys; from index.io.atomic import *; write_whole(Path(sys.argv[1]), 'new')"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "other.csv")], check=True, cwd=ROOT)
        assert names(tmp_path) == sorted([kept.name, "other.csv"])
        living.terminate()
        living.wait()
    finally:
        killed.kill()
        living.kill()
    assert remove_leftovers(tmp_path) == 1 and names(tmp_path) == ["other.csv"]


@posix
def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    process = writer(tmp_path)
    assert process.stdout is not None and process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0 and names(tmp_path) == []


def test_only_our_own_leftovers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("keep")
    for name in (".onkokode-a.txt", "onkokode-a.part", "a.part"):
        (tmp_path / name).touch()
    (tmp_path / ".onkokode-link.part").symlink_to(tmp_path / "target")
    (tmp_path / ".onkokode-folder.part").mkdir()
    (tmp_path / ".onkokode-0123.part").touch()
    before = names(tmp_path)
    assert remove_leftovers(tmp_path) == 1
    assert set(before) - set(names(tmp_path)) == {".onkokode-0123.part"}
    assert remove_leftovers(tmp_path / "none") == 0


@posix
@pytest.mark.parametrize("size", [10, 100_000])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path: Path, size: int) -> None:
    import resource

    path = tmp_path / "a.csv"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5, before[1]))
    try:
        with pytest.raises(OSError) as caught, new_file(path) as half, half.open("w") as stream:
            stream.write("x" * size)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG and caught.value.filename == str(path)
    assert names(tmp_path) == ["a.csv"] and path.read_text() == "old"


def test_errors_name_the_file_asked_for(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "a", tmp_path / ("x" * 300), tmp_path):
        with pytest.raises(OSError) as caught, new_file(path):
            pass
        assert caught.value.filename == str(path) and caught.value.strerror
    with pytest.raises(FileNotFoundError) as other, new_file(tmp_path / "b"):
        (tmp_path / "input").read_text()
    assert other.value.filename == str(tmp_path / "input")
    assert names(tmp_path) == []


@posix
def test_a_device_or_pipe_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OSError, match="Is not a file"):
            write_whole(path, MARKER)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode) and names(tmp_path) == ["pipe"]


@posix
def test_a_symbolic_link_leads_to_the_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")
    (tmp_path / "link").symlink_to("folder/file")
    (tmp_path / "second").symlink_to("link")
    (tmp_path / "new").symlink_to("folder/new")
    for name, target in (("link", "file"), ("second", "file"), ("new", "new")):
        check_file(tmp_path / name)
        write_whole(tmp_path / name, name)
        assert (tmp_path / "folder" / target).read_text() == name and (tmp_path / name).is_symlink()
    assert sorted(os.listdir(tmp_path / "folder")) == ["file", "new"]


@posix
def test_links_and_devices_stay_what_they_are(tmp_path: Path) -> None:
    """Also where one leads to a file in the end, as /dev/stdout may: as root it would be replaced for everybody."""
    (tmp_path / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "file").open() as stream:
        number = stream.fileno()
        for name, target in (
            ("a", "/dev/null"),
            ("b", f"/dev/fd/{number}"),
            ("c", "pipe"),
            ("d", "b"),
            ("e", "e"),
        ):
            (tmp_path / name).symlink_to(target)
        own = [tmp_path / name for name in "abcde"]
        system = ["/dev/stdout", "/dev/none", f"/dev/fd/{number}", f"/proc/self/fd/{number}"]
        for path in (*own, *map(Path, system)):
            with pytest.raises(OutputError, match=r"name a file|in a circle"):
                check_file(path)
            with pytest.raises(OSError, match=r"Is not a file|symbolic links"):
                write_whole(path, MARKER)
        assert all(path.is_symlink() for path in own) and (tmp_path / "file").read_text() == "old"
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and Path("/dev/fd").is_symlink()


def test_no_other_module_makes_files_of_its_own_to_rename() -> None:
    """Whatever holds texts goes through this module. code-file resumes, and so keeps files of its own; folders of
    catalogues, models and training arms hold no texts of patients."""
    allowed = {
        "agent/models/store/stored.py",
        "index/io/atomic.py",
        "index/search/index.py",
        "index/catalogue/store.py",
        "training/studies/arms.py",
    }
    pattern = re.compile(
        r"\.part\b[\"']|os\.replace\(|NamedTemporaryFile|mkstemp|\.(?:replace|rename)\((?:self\.)?(?:path|target)\)"
    )
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("agent", "index", "training", "eval")
        for path in (ROOT / package).rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert {name for name in found if not name.startswith("agent/apps/files/")} - allowed == set()
