"""The data folder: `manifest.json` says what is in it, and that it is whole.

A folder is built beside its place and its manifest is moved in last, so a folder with a manifest can be
trusted, on a file system without renaming of folders (gs://) too.
"""
import collections
import contextlib
import dataclasses
import hashlib
import json
import os

import tensorflow as tf

from tf_nar.data import atomic
from tf_nar.data import records
from tf_nar.data import text
from tf_nar.data import vocab as vocab_lib

MANIFEST = "manifest.json"
SOURCE, TARGET = "valid.src", "valid.tgt"
EXTRA = 20  # Tokens that a target may have beyond `Split.length_ratio` times its source.
OUTLIERS = 0.001  # Share of the pairs that may have more.
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Split:
  """What is known of one part, "train" or "valid". Tokens count EOS."""

  pairs: int
  source_tokens: int
  target_tokens: int
  lengths: dict  # max(len(src), len(tgt)) -> pairs.
  dropped: dict = dataclasses.field(default_factory=dict)  # Reason -> lines of the text.
  shards: tuple = ()  # File names; validation is text and has none.
  inputs: tuple = ()  # (file name, SHA-256 of its uncompressed text) of each input.
  # Folders of older versions have none of what follows.
  records_sha256: str = ""  # Of the training records in their order.
  unknown: int = 0  # Tokens that are UNK.
  changed: int = 0  # Lines that normalization changes.
  length_ratio: float = 1.0  # All but `OUTLIERS` of the pairs have T <= length_ratio * S + `EXTRA`.


@dataclasses.dataclass(frozen=True)
class Manifest:
  """What is known of a data folder."""

  tokenization: str  # "sentencepiece", "words" or "bpe".
  tokenized: bool  # Whether the text was tokenized already: BLEU then uses tokenize=none.
  vocabulary_size: int
  vocabulary_sha256: str
  splits: dict  # Name -> Split.
  version: int = _VERSION


class Writer:
  """Deals training pairs out to shards, one after the other, and counts them. Use in a `with`."""

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

  def add(self, serialized, source_length, target_length):
    """Writes one serialized `records.Pair`; the lengths count EOS."""
    self._writers[self._pairs % len(self._writers)].write(serialized)
    self._digest.update(serialized)
    self._pairs += 1
    self._source_tokens += source_length
    self._target_tokens += target_length
    self._lengths[max(source_length, target_length)] += 1
    self._ratios[max(10, -(-10 * (target_length - EXTRA) // source_length))] += 1

  def _length_ratio(self):
    """Returns the least factor, at least 1, by which all but a thousandth of the targets are within their limit."""
    over = 0
    for tenths, pairs in sorted(self._ratios.items(), reverse=True):
      over += pairs
      if over > OUTLIERS * self._pairs:
        return tenths / 10
    return 1.0

  def split(self, dropped=None, inputs=(), **counted):
    """Returns the `Split` of what was written; `counted` are further fields of it.

    Raises:
      ValueError: if nothing was.
    """
    dropped = dict(dropped or {})
    if not self._pairs:
      raise ValueError(f"No training pair is left; dropped: {dropped or 'none, there was no text'}. "
                       "Look at the text, or loosen --max_length and --max_ratio.")
    lengths = dict(sorted(self._lengths.items()))
    return Split(self._pairs, self._source_tokens, self._target_tokens, lengths, dropped, tuple(self._names),
                 tuple(inputs), self._digest.hexdigest(), length_ratio=self._length_ratio(), **counted)


def building(folder):
  """Gives an empty folder to fill, which becomes `folder` if nothing was raised; see `atomic.folder`."""
  return atomic.folder(folder, last=MANIFEST)


def write(folder, manifest):
  """Writes `manifest.json`."""
  content = json.dumps(dataclasses.asdict(manifest), indent=1, ensure_ascii=False)
  atomic.write(os.path.join(folder, MANIFEST), content.encode())


def read(folder):
  """Returns the `Manifest` of a folder.

  Raises:
    FileNotFoundError: if it has none.
    ValueError: if another version wrote it, or the vocabulary is not the one that the records were made with.
  """
  path = os.path.join(folder, MANIFEST)
  if not tf.io.gfile.exists(path):
    raise FileNotFoundError(f"No {MANIFEST} in {folder}: it is no whole data folder. "
                            f"Make one: python data_prep/prepare.py --out={folder} ...")
  with tf.io.gfile.GFile(path) as file:
    values = json.load(file)
  if values.get("version") != _VERSION:
    raise ValueError(f"{path} is of version {values.get('version')}, this program reads {_VERSION}; "
                     "run data_prep/prepare.py again.")
  splits = {name: _split(split) for name, split in values["splits"].items()}
  manifest = Manifest(**values | {"splits": splits})
  found = vocab_lib.load(folder).sha256
  if found != manifest.vocabulary_sha256:
    raise ValueError(f"The vocabulary in {folder} (SHA-256 {found[:8]}) is not the one of its records "
                     f"({manifest.vocabulary_sha256[:8]}); restore it or run data_prep/prepare.py again.")
  return manifest


def digests(folder):
  """Returns the digests, hex, by which a text is known again: first the one to write down, then an older version's.

  The first is of what a training sees: the training records, the vocabulary, and which validation text it is.
  """
  manifest = read(folder)
  train, valid = manifest.splits["train"], manifest.splits["valid"]
  seen = json.dumps([train.records_sha256, train.pairs, manifest.vocabulary_sha256, valid.pairs, valid.inputs])
  with atomic.open_read(os.path.join(folder, MANIFEST)) as file:
    return hashlib.sha256(seen.encode()).hexdigest(), hashlib.sha256(file.read()).hexdigest()


def shards(folder, split="train"):
  """Returns the paths of the record files of a split."""
  return [os.path.join(folder, name) for name in read(folder).splits[split].shards]


def validation(folder):
  """Returns the validation text: source lines and target lines, equally many."""
  return _lines(os.path.join(folder, SOURCE)), _lines(os.path.join(folder, TARGET))


def derive(source_folder, out_folder, pairs, shards=4):
  """Writes a data folder with the vocabulary and validation text of another, and new training pairs.

  Args:
    source_folder: the data folder to follow.
    out_folder: the new one; it appears when it is whole.
    pairs: iterator of `records.Pair`.
    shards: how many record files.

  Returns:
    The new `Manifest`.

  Raises:
    FileExistsError: if there is anything in `out_folder`.
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


def _split(values):
  return Split(**values | {
      "lengths": {int(length): pairs for length, pairs in values["lengths"].items()},
      "shards": tuple(values["shards"]),
      "inputs": tuple(map(tuple, values["inputs"])),
  })


def _lines(path):
  return list(text.read(path))
