import pytest

from tf_nar import types
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib
from tf_nar.prepare import encode

LIMITS = encode.Limits(max_length=6, max_ratio=2.0)
VOCAB = vocab_lib.WordList([*types.SPECIALS, "a", "b"])


@pytest.fixture
def folder(tmp_path):
  VOCAB.save(str(tmp_path))
  return str(tmp_path)


@pytest.mark.parametrize("source, target, expected", [
    (5, 5, None), (6, 5, "too long"), (5, 6, "too long"), (0, 3, "empty source"), (3, 0, "empty target"),
    (4, 2, None), (5, 2, "length ratio"), (1, 3, "length ratio"), (0, 0, "empty source"),
])
def test_reasons(source, target, expected):
  assert encode.reason([7] * source, [7] * target, LIMITS) == expected


def test_any_ratio():
  assert encode.reason([7], [7] * 5, encode.Limits(6, 0)) is None


def test_records_keep_their_line_numbers():
  part = encode.encode_lines(10, [("a b", "b"), (" ", "a"), ("a", "a x")], VOCAB, LIMITS)
  assert part.dropped == [(11, "empty source")] and part.lines == 3
  pairs = [records.Pair([5, 6, 1], [6, 1], index=10), records.Pair([5, 1], [5, 2, 1], index=12)]
  assert part.pairs == [(records.serialize(pair), len(pair.src), len(pair.tgt)) for pair in pairs]


def test_reads_only_a_little_ahead(folder, monkeypatch):
  monkeypatch.setattr(encode, "_LINES", 2)
  read = []

  def pairs():
    for number in range(1000):
      read.append(number)
      yield "a", "b"

  first = next(encode.encode(pairs(), folder, LIMITS))
  assert first.lines == 2 and len(read) == 2


def test_refuses_no_process(folder):
  with pytest.raises(ValueError, match="--processes must be at least 1; got 0"):
    next(encode.encode([], folder, LIMITS, processes=0))
