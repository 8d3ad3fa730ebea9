"""Atomic writing: temporary names, existing paths, folders that appear complete."""
import errno
import os
import pathlib
import socket
import stat
import subprocess
import sys

import pytest
import tensorflow as tf

from tf_nar.data import atomic

NAMES = ["with space", "run[1]", "a*b?", "quo'te \"s", "üml-日本", "new\nline", "-dash", "mine.tmp"]


def names(folder):
  return sorted(os.listdir(folder))


def test_the_neighbours_of_a_temporary_name_stay(tmp_path):
  (tmp_path / "out.tmp").mkdir()
  (tmp_path / "out.tmp/notes").write_text("precious")
  with atomic.folder(str(tmp_path / "out")) as temporary:
    assert os.path.dirname(temporary) == str(tmp_path) and temporary != str(tmp_path / "out.tmp")
    pathlib.Path(temporary, "inside").write_text("new")
    assert names(tmp_path) == sorted(["out.tmp", os.path.basename(temporary)])  # No incomplete folder.
  assert names(tmp_path) == ["out", "out.tmp"]
  assert (tmp_path / "out/inside").read_text() == "new" and (tmp_path / "out.tmp/notes").read_text() == "precious"
  (tmp_path / "file.tmp").write_text("precious")
  atomic.write(str(tmp_path / "file"), b"new")
  assert (tmp_path / "file.tmp").read_text() == "precious" and (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("name", NAMES)
def test_any_name(tmp_path, name, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with atomic.folder(name) as temporary:
    atomic.write(os.path.join(temporary, name), b"data")
  assert (tmp_path / name / name).read_bytes() == b"data"
  assert names(tmp_path) == [name] == names(tmp_path / name)


@pytest.mark.parametrize("asked", ["new/out/", "./new/out", "new/../new/out//"])
def test_a_last_slash_and_a_relative_path_are_the_same_folder(tmp_path, monkeypatch, asked):
  monkeypatch.chdir(tmp_path)
  with atomic.folder(asked) as temporary:
    pathlib.Path(temporary, "file").touch()
  assert names(tmp_path) == ["new"] and names(tmp_path / "new") == ["out"] and names(tmp_path / "new/out") == ["file"]


def test_what_fails_leaves_nothing_and_replaces_nothing(tmp_path):
  (tmp_path / "file").write_text("old")
  for work in (atomic.folder(str(tmp_path / "out")), atomic.replacing(str(tmp_path / "file"))):
    with pytest.raises(RuntimeError, match="planted"), work:
      raise RuntimeError("planted")
  assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_places_that_are_taken(tmp_path):
  (tmp_path / "file").touch()
  (tmp_path / "full").mkdir()
  (tmp_path / "full/notes").touch()
  (tmp_path / "dangling").symlink_to("nowhere")
  (tmp_path / "empty").mkdir()
  for name in ("file", "full", "dangling"):
    with pytest.raises(FileExistsError, match=f"{name} already exists and is not an empty folder; remove it"):
      atomic.check_free(str(tmp_path / name))
    with pytest.raises(FileExistsError), atomic.folder(str(tmp_path / name)):
      pytest.fail("It began to work.")
  for name in ("empty", "new", "new/er"):
    atomic.check_free(str(tmp_path / name))
  assert names(tmp_path) == ["dangling", "empty", "file", "full"] and names(tmp_path / "full") == ["notes"]


def test_a_link_to_an_empty_folder_is_followed(tmp_path):
  (tmp_path / "disk").mkdir()
  (tmp_path / "link").symlink_to("disk")
  with atomic.folder(str(tmp_path / "link")) as temporary:
    pathlib.Path(temporary, "file").touch()
  assert (tmp_path / "link").is_symlink() and names(tmp_path / "disk") == ["file"]


def test_somebody_was_faster(tmp_path):
  with pytest.raises(FileExistsError, match="out already exists"):
    with atomic.folder(str(tmp_path / "out")):
      (tmp_path / "out").mkdir()
      (tmp_path / "out/theirs").touch()
  assert names(tmp_path) == ["out"] and names(tmp_path / "out") == ["theirs"]


def test_what_a_killed_process_left_is_removed(tmp_path):
  dead = subprocess.Popen([sys.executable, "-c", ""])
  dead.wait()
  here = socket.gethostname()
  left = f"out.{here}-{dead.pid}-0123abcd.tmp"
  keep = [f"out.{here}-{os.getppid()}-0123abcd.tmp",  # Alive.
          f"out.elsewhere-{dead.pid}-0123abcd.tmp", f"other.{here}-{dead.pid}-0123abcd.tmp", f"out.{dead.pid}.tmp"]
  for name in (left, *keep):
    (tmp_path / name).mkdir()
    (tmp_path / name / "file").touch()
  with atomic.folder(str(tmp_path / "out")):
    pass
  assert names(tmp_path) == sorted(["out", *keep])
  (tmp_path / left.replace("out", "text", 1)).touch()
  atomic.write(str(tmp_path / "text"), b"")
  assert names(tmp_path) == sorted(["out", "text", *keep])


def test_a_file_on_another_file_system():
  atomic.write("ram://atomic/file", b"one")
  atomic.write("ram://atomic/file", b"two")
  assert atomic.exists("ram://atomic/file") and atomic.open_read("ram://atomic/file").read() == b"two"
  with atomic.folder("ram://atomic/out/", last="whole") as temporary:
    tf.io.gfile.makedirs(f"{temporary}/inner")
    for name in ("whole", "inner/part"):
      atomic.write(f"{temporary}/{name}", name.encode())
  assert atomic.open_read("ram://atomic/out/whole").read() == b"whole"
  assert atomic.open_read("ram://atomic/out/inner/part").read() == b"inner/part"
  with pytest.raises(FileExistsError, match="out already exists"):
    atomic.check_free("ram://atomic/out")
  assert not [name for name in tf.io.gfile.listdir("ram://atomic") if name.endswith(".tmp")]


def test_what_is_no_file_to_write(tmp_path):
  (tmp_path / "file").touch()
  for path in (str(tmp_path), f"{tmp_path}/new/", "ram://atomic/new/"):
    with pytest.raises(ValueError, match=f"{path} is a folder; give the name of a file to write"):
      atomic.write(path, b"")
  with pytest.raises(OSError, match="file") as error:
    atomic.write(f"{tmp_path}/file/inside", b"")  # Root ignores permissions, so a file is in place of the folder.
  assert error.value.errno in (errno.ENOTDIR, errno.EEXIST)
  assert names(tmp_path) == ["file"]


def test_a_full_disk_is_said_with_the_name_of_the_file():
  with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
    atomic.write("/dev/full", b"data")
  assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_file_in_memory_is_a_file_and_a_stream_is_none(tmp_path):
  if not os.path.isdir("/dev/shm"):
    pytest.skip("No /dev/shm.")
  path = f"/dev/shm/tf_nar-{os.getpid()}"
  try:
    atomic.write(path, b"old")
    with pytest.raises(RuntimeError), atomic.replacing(path) as file:
      file.write(b"new")
      raise RuntimeError
    with open(path, "rb") as file:
      assert file.read() == b"old"
  finally:
    os.remove(path)
  os.mkfifo(tmp_path / "pipe")
  assert atomic.is_special("/dev/null") and atomic.is_special("/dev/stdout") and atomic.is_special(tmp_path / "pipe")
  assert not atomic.is_special(tmp_path) and not atomic.is_special(str(tmp_path / "nothing"))


def test_a_new_file_has_the_mode_of_any_file_and_an_old_one_keeps_its_own(tmp_path):
  (tmp_path / "plain").touch()
  atomic.write(str(tmp_path / "new"), b"")
  assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
  (tmp_path / "new").chmod(0o640)
  atomic.write(str(tmp_path / "new"), b"more")
  assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_nothing_to_read(tmp_path):
  for path in (str(tmp_path), str(tmp_path / "none"), "ram://atomic/none"):
    with pytest.raises(FileNotFoundError, match=f"No file {path}; give a text file"):
      atomic.check_readable(path)
