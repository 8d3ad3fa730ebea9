"""The TFRecord schema of sentence pairs, and of the translation candidates of a source."""
import itertools
from typing import Iterable, Iterator, NamedTuple

import tensorflow as tf

from tf_nar.data import atomic


class Pair(NamedTuple):
  """A sentence pair as token ids."""

  src: list  # Ends in EOS.
  tgt: list  # Ends in EOS.
  weight: float = 1.0  # Its weight in the training loss.
  index: int = 0  # Line number in the original text, from 0.
  fertility: tuple = ()  # Number of target tokens aligned to each source token; empty without data_prep/align.py.


class Candidates(NamedTuple):
  """The N translation candidates of one source, best first."""

  index: int  # Line number in the original text, from 0.
  src: list  # Ends in EOS.
  tokens: list  # N lists of ids, each ends in EOS.
  scores: list  # N floats, by which they are ranked.
  weight: float = 1.0  # That of the pair that the source is of.


def serialize(item: Pair | Candidates) -> bytes:
  """Returns the bytes of the record of a `Pair` or `Candidates`; equal items give equal bytes."""
  features = {"index": _ints([item.index]), "src": _ints(item.src)}
  if isinstance(item, Pair):
    features |= {"tgt": _ints(item.tgt), "weight": _floats([item.weight])}
    if item.fertility:
      features["fertility"] = _ints(item.fertility)
  else:
    features |= {
        "tokens": _ints([token for tokens in item.tokens for token in tokens]),
        "lengths": _ints([len(tokens) for tokens in item.tokens]),
        "scores": _floats(item.scores),
    } | ({"weight": _floats([item.weight])} if item.weight != 1 else {})
  example = tf.train.Example(features=tf.train.Features(feature=features))
  return example.SerializeToString(deterministic=True)


def write(path: str, items: Iterable[Pair | Candidates]) -> None:
  """Writes `Pair`s or `Candidates` to one file, which appears when it is complete."""
  with atomic.renamed(path) as temporary, tf.io.TFRecordWriter(temporary) as writer:
    for item in items:
      writer.write(serialize(item))


def read(path: str) -> Iterator[Pair]:
  """Yields the `Pair`s of a file.

  Raises:
    ValueError: if the file is damaged or holds something else.
  """
  for features in _features(path, ("src", "tgt", "weight", "index")):
    yield Pair(list(features["src"].int64_list.value), list(features["tgt"].int64_list.value),
               features["weight"].float_list.value[0], features["index"].int64_list.value[0],
               tuple(features["fertility"].int64_list.value) if "fertility" in features else ())


def read_candidates(path: str) -> Iterator[Candidates]:
  """Yields the `Candidates` of a file.

  Raises:
    ValueError: if the file is damaged or holds something else.
  """
  for features in _features(path, ("index", "src", "tokens", "lengths", "scores")):
    flat, lengths = list(features["tokens"].int64_list.value), features["lengths"].int64_list.value
    tokens = [flat[end - length:end] for length, end in zip(lengths, itertools.accumulate(lengths), strict=True)]
    yield Candidates(features["index"].int64_list.value[0], list(features["src"].int64_list.value), tokens,
                     list(features["scores"].float_list.value),
                     features["weight"].float_list.value[0] if "weight" in features else 1.0)


def parse_batch(serialized: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.Tensor]:
  """Parses several `Pair`s in one call inside tf.data, which is many times faster than one by one.

  Args:
    serialized: string [B].

  Returns:
    src ragged int32 [B, (S)], tgt ragged int32 [B, (T)], weight float32 [B].
  """
  parsed = tf.io.parse_example(serialized, {
      "src": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
      "tgt": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
      "weight": tf.io.FixedLenFeature([], tf.float32),
  })
  return tf.cast(parsed["src"], tf.int32), tf.cast(parsed["tgt"], tf.int32), parsed["weight"]


def parse_fertility(serialized: tf.Tensor) -> tf.RaggedTensor:
  """Parses the fertilities of `Pair`s: string [B] -> ragged int32 [B, (S)]; rows are empty without fertilities."""
  parsed = tf.io.parse_example(serialized, {"fertility": tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64)})
  return tf.cast(parsed["fertility"], tf.int32)


def _features(path, names):
  try:
    for serialized in tf.data.TFRecordDataset(path).as_numpy_iterator():
      features = tf.train.Example.FromString(serialized).features.feature
      missing = [name for name in names if name not in features]
      if missing:
        raise ValueError(f"{path}: expected records with {', '.join(names)}; "
                         f"got records with {', '.join(sorted(features))}. "
                         "Use read() for pairs and read_candidates() for candidates.")
      yield features
  except tf.errors.DataLossError as error:
    raise ValueError(f"{path} is cut short or damaged; write it again.") from error


def _ints(values):
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _floats(values):
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))
