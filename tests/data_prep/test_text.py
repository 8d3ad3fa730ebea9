import gzip
import hashlib

import pytest

from data_prep import text


@pytest.fixture
def write(tmp_path):
  def written(name, data):
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return str(path)
  return written


def test_lines_end_at_line_feeds_only(write):
  path = write("a", "one\r\n\n a\u2028b\x0b\x85c \nlast".encode())
  assert list(text.lines(path)) == ["one", "", " a\u2028b\x0b\x85c ", "last"]
  assert list(text.lines(write("b", b"\n\n"))) == ["", ""]


def test_a_byte_order_mark_is_no_part_of_the_first_word(write):
  assert list(text.lines(write("a", "\ufeffone\n\ufefftwo\n".encode()))) == ["one", "\ufefftwo"]


@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_compressed_is_as_plain_in_blocks_of_any_size(write, monkeypatch, block):
  monkeypatch.setattr(text, "_BLOCK", block)
  data = "zwei Männer\n\ndrei Büsche\n".encode()
  plain, compressed = hashlib.sha256(), hashlib.sha256()
  assert list(text.lines(write("a", data), plain)) == list(text.lines(write("a.gz", data), compressed))
  assert plain.digest() == compressed.digest() == hashlib.sha256(data).digest()


def test_survey_and_pairs_follow_the_files(write):
  sources = [write("a.en", b"1\n2\n"), write("b.en", b"3\n")]
  targets = [write("a.de", b"4\n5\n"), write("b.de", b"6\n")]
  found = text.survey(sources, targets)
  assert found.pairs == 3
  assert [name for name, _ in found.inputs] == ["a.en", "b.en", "a.de", "b.de"]
  assert found.inputs[3][1] == hashlib.sha256(b"6\n").hexdigest()
  assert list(text.pairs(sources, targets)) == [("1", "4"), ("2", "5"), ("3", "6")]


def test_refusals(write, tmp_path):
  two, three, empty = write("two", b"1\n2\n"), write("three", b"1\n2\n3\n"), write("empty", b"")
  with pytest.raises(ValueError, match=r"two has 2 lines but .*three has 3; line n of one must translate"):
    text.survey([two], [three])
  with pytest.raises(ValueError, match="empty is empty; expected one sentence a line"):
    text.survey([two], [empty])
  with pytest.raises(ValueError, match="Each source file needs one target file; got 2 and 1"):
    text.survey([two, two], [two])
  with pytest.raises(FileNotFoundError, match="No file .*absent"):
    text.survey([two], [str(tmp_path / "absent")])
  latin = write("latin", "gut\nMänner\n".encode("latin-1"))
  with pytest.raises(ValueError, match=r"latin:2: not UTF-8 \(byte 2 of the line is 0xe4\). Convert it"):
    text.survey([two], [latin])
