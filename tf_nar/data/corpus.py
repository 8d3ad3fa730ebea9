"""The data folder, whose `manifest.json` describes it and marks it as complete.

A folder is built under a temporary name and its manifest is moved last, so that a folder with a manifest is complete
even on a file system that cannot rename folders (gs://).
"""
import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from typing import Any, Iterable

import tensorflow as tf

from tf_nar.data import atomic
from tf_nar.data import json_file
from tf_nar.data import records
from tf_nar.data import text
from tf_nar.data import vocab as vocab_lib

MANIFEST = "manifest.json"
SOURCE, TARGET = "valid.src", "valid.tgt"
EXTRA = 20  # Tokens that a target may have in addition to `Split.length_ratio` times those of its source.
OUTLIERS = 0.001  # Share of the pairs whose target may be longer still.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Split:
  """The statistics of one split, "train" or "valid". Numbers of tokens include EOS."""

  pairs: int
  source_tokens: int
  target_tokens: int
  lengths: dict  # max(len(src), len(tgt)) -> number of pairs.
  dropped: dict = dataclasses.field(default_factory=dict)  # Reason -> number of dropped lines.
  shards: tuple = ()  # File names; empty for validation, which is stored as text.
  inputs: tuple = ()  # (file name, SHA-256 of its uncompressed text) of each input.
  # Folders of older versions lack the following fields.
  records_sha256: str = ""  # Hash of the training records in order.
  unknown: int = 0  # Number of UNK tokens.
  changed: int = 0  # Number of lines that normalization changes.
  length_ratio: float = 1.0  # All but `OUTLIERS` of the pairs have T <= length_ratio * S + `EXTRA`.


@dataclasses.dataclass(frozen=True)
class Manifest:
  """The description of a data folder, stored in `manifest.json`."""

  tokenization: str  # "sentencepiece", "words" or "bpe".
  tokenized: bool  # Whether the text was already tokenized, in which case BLEU uses tokenize=none.
  vocabulary_size: int
  vocabulary_sha256: str
  splits: dict  # Name -> Split.
  version: int = _VERSION


class Writer:
  """Distributes training pairs over shards, in turn, and counts them. A context manager."""

  def __init__(self, folder, shards):
    if shards < 1:
      raise ValueError(f"A data folder needs at least 1 shard, got {shards}.")
    self._names = [f"train-{k:05d}-of-{shards:05d}.tfrecord" for k in range(shards)]
    self._paths = [os.path.join(folder, name) for name in self._names]
    self._lengths, self._digest = collections.Counter(), hashlib.sha256()
    self._ratios = collections.Counter()  # In tenths.
    self._pairs = self._source_tokens = self._target_tokens = 0

  def __enter__(self):
    self._open = contextlib.ExitStack()
    self._writers = [self._open.enter_context(tf.io.TFRecordWriter(path)) for path in self._paths]
    return self

  def __exit__(self, *error):
    return self._open.__exit__(*error)

  def add(self, serialized: bytes, source_length: int, target_length: int) -> None:
    """Writes one serialized `records.Pair`; the lengths include EOS."""
    self._writers[self._pairs % len(self._writers)].write(serialized)
    self._digest.update(serialized)
    self._pairs += 1
    self._source_tokens += source_length
    self._target_tokens += target_length
    self._lengths[max(source_length, target_length)] += 1
    self._ratios[max(10, -(-10 * (target_length - EXTRA) // source_length))] += 1

  def _length_ratio(self):
    """Returns the least `Split.length_ratio` of at least 1 that at most a share `OUTLIERS` of the pairs exceeds."""
    over = 0
    for tenths, pairs in sorted(self._ratios.items(), reverse=True):
      over += pairs
      if over > OUTLIERS * self._pairs:
        return tenths / 10
    return 1.0

  def split(self, dropped: dict[str, int] | None = None, inputs: Iterable[tuple[str, str]] = (),
            **counted: Any) -> Split:
    """Returns the `Split` of the written pairs; `counted` are further fields of it.

    Raises:
      ValueError: if no pair was written.
    """
    dropped = dict(dropped or {})
    if not self._pairs:
      raise ValueError(f"No training pair is left; dropped: {dropped or 'none, there was no text'}. "
                       "Look at the text, or loosen --max_length and --max_ratio.")
    lengths = dict(sorted(self._lengths.items()))
    return Split(self._pairs, self._source_tokens, self._target_tokens, lengths, dropped, tuple(self._names),
                 tuple(inputs), self._digest.hexdigest(), length_ratio=self._length_ratio(), **counted)


def building(folder: str) -> contextlib.AbstractContextManager[str]:
  """Context manager of an empty folder to fill, which becomes `folder`; see `atomic.folder`."""
  return atomic.folder(folder, last=MANIFEST)


def write(folder: str, manifest: Manifest) -> None:
  """Writes `manifest.json`."""
  content = json.dumps(dataclasses.asdict(manifest), indent=1, ensure_ascii=False)
  atomic.write(os.path.join(folder, MANIFEST), content.encode())


def read(folder: str) -> Manifest:
  """Returns the `Manifest` of a folder.

  Raises:
    FileNotFoundError: if it has no manifest.
    ValueError: if another version wrote it, or if the vocabulary is not that of the records.
  """
  path = os.path.join(folder, MANIFEST)
  if not tf.io.gfile.exists(path):
    raise FileNotFoundError(f"No {MANIFEST} in {folder}: it is not a complete data folder. "
                            f"Make one: python data_prep/prepare.py --out={folder} ...")
  manifest = json_file.read(path, functools.partial(_manifest, path))
  found = vocab_lib.load(folder).sha256
  if found != manifest.vocabulary_sha256:
    raise ValueError(f"The vocabulary in {folder} (SHA-256 {found[:8]}) is not the one of its records "
                     f"({manifest.vocabulary_sha256[:8]}); restore it or run data_prep/prepare.py again.")
  return manifest


def digests(folder: str) -> tuple[str, str]:
  """Returns two hex digests that identify the text of a folder: today's, and that which older versions recorded.

  The first covers what training depends on: the training records, the vocabulary and the hashes of the validation text.
  """
  manifest = read(folder)
  train, valid = manifest.splits["train"], manifest.splits["valid"]
  seen = json.dumps([train.records_sha256, train.pairs, manifest.vocabulary_sha256, valid.pairs, valid.inputs])
  with atomic.open_read(os.path.join(folder, MANIFEST)) as file:
    return hashlib.sha256(seen.encode()).hexdigest(), hashlib.sha256(file.read()).hexdigest()


def shards(folder: str, split: str = "train") -> list[str]:
  """Returns the paths of the record files of a split."""
  return [os.path.join(folder, name) for name in read(folder).splits[split].shards]


def validation(folder: str) -> tuple[list[str], list[str]]:
  """Returns the validation text: a list of source lines and a list of as many target lines."""
  return _lines(os.path.join(folder, SOURCE)), _lines(os.path.join(folder, TARGET))


def derive(source_folder: str, out_folder: str, pairs: Iterable[records.Pair], shards: int = 4) -> Manifest:
  """Writes a data folder with the vocabulary and validation text of another, and new training pairs.

  Args:
    source_folder: the data folder to take them from.
    out_folder: the new folder; it appears when it is complete.
    pairs: iterator of `records.Pair`.
    shards: number of record files.

  Returns:
    The new `Manifest`.

  Raises:
    FileExistsError: if `out_folder` is not empty.
    ValueError: if there are no pairs.
  """
  manifest = read(source_folder)
  with building(out_folder) as folder:
    with Writer(folder, shards) as writer:
      for pair in pairs:
        writer.add(records.serialize(pair), len(pair.src), len(pair.tgt))
    for name in (SOURCE, TARGET):
      tf.io.gfile.copy(os.path.join(source_folder, name), os.path.join(folder, name))
    vocab_lib.load(source_folder).save(folder)
    manifest = dataclasses.replace(manifest, splits=manifest.splits | {"train": writer.split()})
    write(folder, manifest)
  return manifest


def _manifest(path, values):
  if values.get("version") != _VERSION:
    raise ValueError(f"{path} must be of version {_VERSION}, but is of {values.get('version')}; "
                     "run data_prep/prepare.py again.")
  return Manifest(**values | {"splits": {name: _split(split) for name, split in values["splits"].items()}})


def _split(values):
  return Split(**values | {
      "lengths": {int(length): pairs for length, pairs in values["lengths"].items()},
      "shards": tuple(values["shards"]),
      "inputs": tuple(map(tuple, values["inputs"])),
  })


def _lines(path):
  return list(text.read(path))
