import hashlib

import pytest

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
