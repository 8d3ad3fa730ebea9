"""Reading and writing text."""
import errno
import gzip
import hashlib
import io
import os
import stat
import threading
import types as python_types

import pytest
import tensorflow as tf

from tf_nar.data import text
from tf_nar.evaluate import lines


@pytest.fixture
def warnings(monkeypatch):
  said = []
  monkeypatch.setattr(text.logging, "warning", lambda text, *values: said.append(text % values))
  return said


@pytest.mark.parametrize("data, expected", [
  ("a\u2028b\r\n\nc\x0bd\u0085\nä", ["a\u2028b", "", "c\x0bd\u0085", "ä"]),
  ("\ufeffone\n\ufefftwo\n", ["one", "\ufefftwo"]),  # Only the first is a byte order mark.
  ("a\0b\n", ["a\0b"]),
  ("\n\n", ["", ""]),
  ("", []),
  ("x" * 100_000, ["x" * 100_000]),
])
def test_lines_end_at_line_feeds_only(write, warnings, data, expected):
  for path in (write("text", data.encode()), write("text.gz", gzip.compress(data.encode())),
               write("packed", gzip.compress(data.encode()))):
    lines = text.read(path)
    assert list(lines) == expected
    assert (lines.count, lines.sha256) == (len(expected), hashlib.sha256(data.encode()).hexdigest())
  assert not warnings


def test_a_carriage_return_inside_is_a_space_and_is_counted(write, warnings):
  path = write("text", b"a\rb\r\nc\r\n\r\rd\n")
  assert list(text.read(path)) == ["a b", "c", "  d"]
  assert warnings == [f"{path}: 2 lines have a carriage return inside; it is read as a space."]
  assert list(text.read(path, warn=False)) and len(warnings) == 1


@pytest.mark.parametrize("name, data, message", [
  ("latin", b"gut\nsch\xf6n\n", r"latin, line 2: not UTF-8 \(byte 4 is 0xf6\); convert it first"),
  ("wide", "gut\n".encode("utf-16"), "wide must be UTF-8, but is UTF-16; convert it: iconv -f UTF-16"),
  ("cut.gz", gzip.compress(b"a line\n" * 999, mtime=0)[:50], r"cut.gz is a broken .gz archive \(.*\); fetch or pack"),
  ("flipped.gz", gzip.compress(b"a line\n", mtime=0)[:-8] + b"\0" * 8, r"flipped.gz is a broken .gz archive \(CRC"),
  ("plain.gz", b"a line\n", "plain.gz must be a gzip archive by its name, but is not"),
  ("empty.gz", b"", "empty.gz must be a gzip archive"),
])
def test_what_cannot_be_read_is_said_in_one_line(write, name, data, message):
  with pytest.raises(ValueError, match=message) as error:
    list(text.read(write(name, data)))
  assert "\n" not in str(error.value)


def test_no_file(tmp_path):
  for path in (tmp_path / "nowhere", tmp_path):
    with pytest.raises(FileNotFoundError, match="No file .*; give a text file"):
      text.read(str(path))


def fed(path, data):
  """Writes to a FIFO as another program would."""
  def feed():
    with open(path, "wb") as file:
      file.write(data)
  threading.Thread(target=feed, daemon=True).start()


@pytest.mark.parametrize("data", [b"a\nb\n", gzip.compress(b"a\nb\n", mtime=0)])
def test_what_cannot_be_sought_is_read(tmp_path, data):
  path = str(tmp_path / "fifo")
  os.mkfifo(path)
  fed(path, data)
  assert list(text.read(path)) == ["a", "b"]


def test_what_is_read_several_times_is_kept(tmp_path, write):
  fifo, plain = str(tmp_path / "fifo"), write("plain", b"c\n")
  os.mkfifo(fifo)
  fed(fifo, b"a\nb\n")
  with text.kept(fifo, plain) as paths:
    assert [[*text.read(path), *text.read(path)] for path in paths] == [["a", "b", "a", "b"], ["c", "c"]]
    assert paths[1] == plain and text.read(paths[0]).name == fifo
  assert not os.path.exists(paths[0])


@pytest.mark.parametrize("path, data, message", [
  ("fifo", b"a\n\xff\n", r"^{}, line 2: not UTF-8"),
  ("fifo.gz", b"a\n", "^{} must be a gzip archive by its name, but is not"),
  ("-", b"a\n\xff\n", r"^standard input, line 2: not UTF-8"),
])
def test_messages_about_a_copy_name_its_original(tmp_path, monkeypatch, path, data, message):
  if path == "-":
    monkeypatch.setattr(text.sys, "stdin", python_types.SimpleNamespace(buffer=io.BytesIO(data)))
  else:
    path = str(tmp_path / path)
    os.mkfifo(path)
    fed(path, data)
  with text.kept(path) as (copy,), pytest.raises(ValueError, match=message.format(path)):
    list(text.read(copy))


@pytest.mark.parametrize("first, second", [("fifo", "fifo"), ("fifo", "link"), ("-", "-"), ("fifo", "/dev/fd/{}")])
def test_a_pipe_is_not_two_texts(tmp_path, monkeypatch, first, second):
  monkeypatch.chdir(tmp_path)
  os.mkfifo("fifo")
  os.symlink("fifo", "link")
  ours = os.open("fifo", os.O_RDWR)
  said = "^.* can be read only once, but is given for two texts; save it to a file first.$"
  with pytest.raises(ValueError, match=said), text.kept(first, second.format(ours)):
    pytest.fail("It was read.")
  with pytest.raises(ValueError, match=said):
    next(lines.paired(text.read(first), text.read(second.format(ours))))
  os.close(ours)


def test_a_file_may_be_two_texts(write):
  path = write("plain", b"a\n")
  with text.kept(path, path) as paths:
    assert paths == [path, path]


def test_a_text_without_a_name_is_refused():
  with pytest.raises(ValueError, match="^The name of a text is empty; give a file, or - for standard input.$"):
    with text.kept("a", ""):
      pytest.fail("It was read.")


def test_remote_files_are_read_in_blocks(monkeypatch):
  monkeypatch.setattr(text, "_BLOCK", 3)
  packed = gzip.compress(b"one\n")
  for path, data in (("ram://text/plain", b"one\rtwo\r\n\nthree"), ("ram://text/packed.gz", packed)):
    with tf.io.gfile.GFile(path, "wb") as file:
      file.write(data)
  assert list(text.read("ram://text/plain", warn=False)) == ["one two", "", "three"]
  assert list(text.read("ram://text/packed.gz")) == ["one"]
  with text.writing("ram://text/out") as write_line:
    write_line("ä")
  assert list(text.read("ram://text/out")) == ["ä"] and tf.io.gfile.listdir("ram://text").count("out") == 1


def test_standard_input_and_a_terminal(monkeypatch, capsys):
  for path in ("", "-"):
    monkeypatch.setattr(text.sys, "stdin", python_types.SimpleNamespace(buffer=io.BytesIO(b"a\nb\n")))
    assert list(text.read(path, "> ")) == ["a", "b"]
    assert capsys.readouterr().err == "> > > "


def test_a_half_written_file_is_not_there(tmp_path):
  path = tmp_path / "new" / "out"
  with pytest.raises(RuntimeError, match="stop"):
    with text.writing(str(path)) as write_line:
      write_line("a")
      raise RuntimeError("stop")
  assert os.listdir(tmp_path / "new") == []
  with text.writing(str(path)) as write_line:
    write_line("ä")
    write_line("")
  assert path.read_text(encoding="utf-8") == "ä\n\n"
  assert os.listdir(tmp_path / "new") == ["out"]


def test_nothing_written_is_an_empty_file(tmp_path):
  with text.writing(str(tmp_path / "out")):
    pass
  assert (tmp_path / "out").read_bytes() == b""


def test_links_are_followed_and_modes_kept(tmp_path):
  (tmp_path / "real").write_text("old")
  (tmp_path / "real").chmod(0o600)
  (tmp_path / "link").symlink_to("real")
  (tmp_path / "dangling").symlink_to("later")
  for name in ("link", "dangling"):
    with text.writing(str(tmp_path / name)) as write_line:
      write_line("new")
    assert (tmp_path / name).is_symlink()
  assert (tmp_path / "real").read_text() == (tmp_path / "later").read_text() == "new\n"
  assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600


def test_a_fifo_is_written_into(tmp_path):
  path, got = str(tmp_path / "fifo"), []
  os.mkfifo(path)

  def read():
    with open(path, encoding="utf-8") as file:
      got.append(file.read())
  reader = threading.Thread(target=read, daemon=True)
  reader.start()
  with text.writing(path) as write_line:
    write_line("a")
  reader.join(10)
  assert got == ["a\n"] and stat.S_ISFIFO(os.stat(path).st_mode)


def test_a_full_disk_leaves_nothing(tmp_path):
  with pytest.raises(OSError) as error, text.writing("/dev/full") as write_line:
    write_line("a")
  assert error.value.errno == errno.ENOSPC
  assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_folder_is_refused(tmp_path):
  with pytest.raises(ValueError, match="is a folder; give the name of a file to write"), text.writing(str(tmp_path)):
    pytest.fail("It began to write.")
