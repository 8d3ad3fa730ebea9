import json
import pathlib

import pytest

from tests.data import folders
from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib

PAIRS = [records.Pair([5, 6, 1], [7, 1], index=0), records.Pair([5, 1], [7, 8, 9, 1], index=2),
         records.Pair([9, 1], [1], index=5), records.Pair([7, 1], [8, 7, 1], index=6)]


@pytest.fixture
def folder(tmp_path):
  return folders.make(tmp_path / "data", PAIRS, shards=3)


def everything(folder):
  return [pair for path in corpus.shards(folder) for pair in records.read(path)]


def test_the_manifest_counts(folder):
  train = corpus.read(folder).splits["train"]
  assert (train.pairs, train.source_tokens, train.target_tokens) == (4, 9, 10)
  assert train.lengths == {2: 1, 3: 2, 4: 1}
  assert train.dropped == {"too long": 2}
  assert train.inputs == (("train.en", "ab"),)
  assert len(train.shards) == 3 and train.shards[1] == "train-00001-of-00003.tfrecord"


def test_the_manifest_comes_back(folder, tmp_path):
  manifest = corpus.read(folder)
  corpus.write(folder, manifest)
  assert corpus.read(folder) == manifest


def test_pairs_are_dealt_out_in_turn(folder):
  assert [[pair.index for pair in records.read(path)] for path in corpus.shards(folder)] == [[0, 6], [2], [5]]


def test_validation_lines_break_at_line_feeds_only(folder):
  assert corpus.validation(folder) == (["w1 w2", "w3\u2028w4"], ["w5", "w6 w7"])


def test_derived_folder_has_new_pairs_and_all_else_as_before(folder, tmp_path):
  new = [records.Pair([5, 1], [6, 1], weight=0.25, index=9), records.Pair([6, 1], [1], index=1)]
  out = str(tmp_path / "distilled")
  manifest = corpus.derive(folder, out, iter(new), shards=2)
  assert corpus.read(out) == manifest
  assert everything(out) == new
  assert manifest.splits["train"].lengths == {2: 2}
  assert manifest.splits["valid"] == corpus.read(folder).splits["valid"]
  digests = [each.splits["train"].records_sha256 for each in (manifest, corpus.read(folder))]
  assert len(set(digests)) == 2 and [len(digest) for digest in digests] == [64, 64]
  assert corpus.validation(out) == corpus.validation(folder)
  assert vocab_lib.load(out).sha256 == folders.VOCAB.sha256
  assert not pathlib.Path(f"{out}.tmp").exists()


def test_a_failed_derivation_leaves_nothing_that_looks_whole(folder, tmp_path):
  out = str(tmp_path / "distilled")

  def broken():
    yield PAIRS[0]
    raise RuntimeError("the teacher died")

  with pytest.raises(RuntimeError, match="the teacher died"):
    corpus.derive(folder, out, broken())
  assert not pathlib.Path(out).exists()
  corpus.derive(folder, out, PAIRS[1:], shards=1)  # Leftovers do not affect the next attempt.
  assert everything(out) == PAIRS[1:]


def test_a_folder_may_be_there_if_it_is_no_data_folder(folder, tmp_path):
  out = tmp_path / "distilled"
  out.mkdir()
  corpus.derive(folder, str(out) + "/", PAIRS, shards=1)
  assert everything(str(out)) == PAIRS


def test_refuses_to_write_over_a_data_folder(folder):
  with pytest.raises(FileExistsError, match="already exists and is not an empty folder; remove it"):
    corpus.derive(folder, folder, PAIRS)
  assert everything(folder)


def test_refuses_a_folder_without_manifest(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"No manifest.json in .* python data_prep/prepare.py --out="):
    corpus.read(str(tmp_path))


def test_refuses_another_vocabulary(folder):
  vocab_lib.WordList([*types.SPECIALS, "other"]).save(folder)
  with pytest.raises(ValueError, match=r"is not the one of its records .*; restore it or run data_prep/"):
    corpus.read(folder)


def test_refuses_another_version(folder):
  path = pathlib.Path(folder) / corpus.MANIFEST
  path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 7}))
  with pytest.raises(ValueError, match="must be of version 1, but is of 7; run data_prep/prepare.py"):
    corpus.read(folder)


def test_refuses_no_pairs_and_no_shards(folder, tmp_path):
  with pytest.raises(ValueError, match="No training pair is left; dropped: none"):
    corpus.derive(folder, str(tmp_path / "empty"), [])
  with pytest.raises(ValueError, match="at least 1 shard, got 0"):
    corpus.derive(folder, str(tmp_path / "empty"), PAIRS, shards=0)
