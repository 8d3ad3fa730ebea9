import gzip
import hashlib

import pytest

from tf_nar.data import atomic
from tf_nar.prepare import bitext


def test_survey_and_pairs_follow_the_files(write):
  sources = [write("a.en", b"1\n2\n"), write("b.en", b"3\n")]
  targets = [write("a.de", b"4\n5\n"), write("b.de", b"6\n")]
  found = bitext.survey(sources, targets)
  assert found.pairs == 3
  assert [name for name, _ in found.inputs] == ["a.en", "b.en", "a.de", "b.de"]
  assert found.inputs[3][1] == hashlib.sha256(b"6\n").hexdigest()
  assert list(bitext.pairs(sources, targets)) == [("1", "4"), ("2", "5"), ("3", "6")]


def test_refusals(write, tmp_path):
  two, three, empty = write("two", b"1\n2\n"), write("three", b"1\n2\n3\n"), write("empty", b"")
  with pytest.raises(ValueError, match=r"two has 2 lines but .*three has 3; line n of one must translate"):
    bitext.survey([two], [three])
  with pytest.raises(ValueError, match="empty is empty; expected one sentence per line"):
    bitext.survey([two], [empty])
  with pytest.raises(ValueError, match="Each source file needs one target file; got 2 and 1"):
    bitext.survey([two, two], [two])
  with pytest.raises(FileNotFoundError, match="No file .*absent"):
    bitext.survey([two], [str(tmp_path / "absent")])


@pytest.mark.parametrize("kind", ["plain", "packed", "remote"])
def test_ranges_are_read_alone(write, monkeypatch, kind):
  monkeypatch.setattr(bitext, "RANGE", 2)
  texts = {"a.en": b"\xef\xbb\xbf1\n2\r\n3 \xc3\xa4\n4\n5", "a.de": b"1\n\n\n4\n5\n", "b.en": b"6\n7\n",
           "b.de": b"6\n7\n"}
  pack = lambda name, text: write(f"{name}.gz", gzip.compress(text))
  place = {"plain": write, "packed": pack, "remote": remote}[kind]
  sources, targets = ([place(name, texts[name]) for name in names] for names in (("a.en", "b.en"), ("a.de", "b.de")))
  found = bitext.survey(sources, targets)
  assert [(some.first, some.lines) for some in found.ranges] == [(0, 2), (2, 2), (4, 1), (5, 2)] and found.pairs == 7
  alone = [pair for some in reversed(found.ranges) for pair in reversed(list(bitext.read(some)))]
  assert alone[::-1] == list(bitext.pairs(sources, targets))


def remote(name, text):
  atomic.write(f"ram://bitext/{name}", text)
  return f"ram://bitext/{name}"
