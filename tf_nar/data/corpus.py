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
from tf_nar.data import vocab as vocab_lib

MANIFEST = "manifest.json"
SOURCE, TARGET = "valid.src", "valid.tgt"
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
  records_sha256: str = ""  # Of the training records in their order; folders of older versions have none.


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

  def split(self, dropped=None, inputs=()):
    """Returns the `Split` of what was written.

    Raises:
      ValueError: if nothing was.
    """
    dropped = dict(dropped or {})
    if not self._pairs:
      raise ValueError(f"No training pair is left; dropped: {dropped or 'none, there was no text'}. "
                       "Look at the text, or loosen --max_length and --max_ratio.")
    lengths = dict(sorted(self._lengths.items()))
    return Split(self._pairs, self._source_tokens, self._target_tokens, lengths, dropped, tuple(self._names),
                 tuple(inputs), self._digest.hexdigest())


def refuse(folder):
  """Refuses a place that is taken, for work that is long before it writes there.

  Raises:
    FileExistsError: if `folder` is a data folder already.
  """
  if tf.io.gfile.exists(os.path.join(folder, MANIFEST)):
    raise FileExistsError(f"{folder} is a data folder already; remove it or write to another.")


@contextlib.contextmanager
def building(folder):
  """Gives an empty folder to fill; if nothing was raised its files move to `folder`, the manifest last.

  Raises:
    FileExistsError: as `refuse`.
  """
  refuse(folder)
  temporary = f"{folder.rstrip('/')}.tmp"
  if tf.io.gfile.exists(temporary):
    tf.io.gfile.rmtree(temporary)
  tf.io.gfile.makedirs(temporary)
  yield temporary
  tf.io.gfile.makedirs(folder)
  for name in sorted(tf.io.gfile.listdir(temporary), key=lambda name: (name == MANIFEST, name)):
    tf.io.gfile.rename(os.path.join(temporary, name), os.path.join(folder, name), overwrite=True)
  tf.io.gfile.rmtree(temporary)


def write(folder, manifest):
  """Writes `manifest.json`."""
  text = json.dumps(dataclasses.asdict(manifest), indent=1, ensure_ascii=False)
  atomic.write(os.path.join(folder, MANIFEST), text.encode())


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
    FileExistsError: if `out_folder` is a data folder already.
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
  with tf.io.gfile.GFile(path, "rb") as file:
    text = file.read().decode()
  # Not splitlines(), which also breaks at U+2028 and would shift the references.
  return text.removesuffix("\n").split("\n") if text else []
