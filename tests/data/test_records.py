import pytest
import tensorflow as tf

from tf_nar.data import atomic
from tf_nar.data import records

PAIRS = [records.Pair([5, 6, 1], [7, 1], 0.5, 3), records.Pair([1], [8, 8, 8, 1])]
ALIGNED = [PAIRS[0]._replace(fertility=(0, 1, 1)), PAIRS[1]._replace(fertility=(4,))]
CANDIDATES = [
    records.Candidates(2**40, [5, 1], [[6, 7, 1], [1], [8, 1]], [-0.5, -1.5, -2.0]),
    records.Candidates(0, [1], [], []),
    records.Candidates(3, [5, 1], [[7, 1]], [-1.0], 0.5),
]


@pytest.mark.parametrize("pairs", [PAIRS, ALIGNED])
def test_pairs_come_back(tmp_path, pairs):
  path = str(tmp_path / "pairs")
  records.write(path, pairs)
  assert list(records.read(path)) == pairs
  assert [file.name for file in tmp_path.iterdir()] == ["pairs"]


def test_candidates_come_back(tmp_path):
  path = str(tmp_path / "candidates")
  records.write(path, CANDIDATES)
  assert list(records.read_candidates(path)) == CANDIDATES


def test_parse_batch_gives_the_types_of_a_batch():
  serialized = [records.serialize(pair) for pair in PAIRS]
  src, tgt, weight = next(iter(tf.data.Dataset.from_tensors(serialized).map(records.parse_batch)))
  assert [x.dtype for x in (src, tgt, weight)] == [tf.int32, tf.int32, tf.float32]
  assert [src.to_list(), tgt.to_list()] == [[pair.src for pair in PAIRS], [pair.tgt for pair in PAIRS]]
  assert weight.numpy().tolist() == [0.5, 1.0]


def test_fertilities_are_parsed_where_there_are_some():
  parsed = records.parse_fertility([records.serialize(pair) for pair in [*ALIGNED, *PAIRS]])
  assert parsed.dtype == tf.int32 and parsed.to_list() == [[0, 1, 1], [4], [], []]


def test_a_failed_write_leaves_the_old_file(tmp_path):
  path = str(tmp_path / "pairs")
  records.write(path, PAIRS)

  def broken():
    yield PAIRS[1]
    raise RuntimeError("the teacher died")

  with pytest.raises(RuntimeError, match="the teacher died"):
    records.write(path, broken())
  assert list(records.read(path)) == PAIRS


def test_atomic_write_replaces(tmp_path):
  path = tmp_path / "file"
  for data in (b"old, longer", b"new"):
    atomic.write(str(path), data)
  assert path.read_bytes() == b"new"
  assert list(tmp_path.iterdir()) == [path]


def test_refuses_the_other_kind(tmp_path):
  path = str(tmp_path / "file")
  records.write(path, CANDIDATES)
  with pytest.raises(ValueError, match=r"expected records with src, tgt, weight, index; got records with index, le"):
    list(records.read(path))
  records.write(path, PAIRS)
  with pytest.raises(ValueError, match=r"expected records with index, src, tokens.* Use read\(\) for pairs"):
    list(records.read_candidates(path))


def test_refuses_a_damaged_file(tmp_path):
  path = tmp_path / "file"
  records.write(str(path), PAIRS)
  path.write_bytes(path.read_bytes()[:-3])
  with pytest.raises(ValueError, match="file is cut short or damaged; write it again"):
    list(records.read(str(path)))
