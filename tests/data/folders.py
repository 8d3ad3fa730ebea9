"""A small data folder for tests."""
import numpy as np

from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib

VOCAB = vocab_lib.WordList([*types.SPECIALS, *(f"w{k}" for k in range(40))])


def random_pairs(count, longest=30, seed=0):
  """Returns `count` pairs of 1..longest tokens with EOS; the n-th has index n."""
  draw = np.random.default_rng(seed)
  sentence = lambda: [*draw.integers(5, 45, draw.integers(0, longest)).tolist(), types.EOS]
  return [records.Pair(sentence(), sentence(), index=index) for index in range(count)]


def aligned(pairs):
  """Returns the pairs with fertilities: the whole target is aligned to the source's EOS."""
  return [pair._replace(fertility=(0,) * (len(pair.src) - 1) + (len(pair.tgt),)) for pair in pairs]


def make(folder, pairs, shards=3):
  """Writes a data folder of `pairs` with two lines of validation; returns its path."""
  with corpus.building(str(folder)) as path:
    with corpus.Writer(path, shards) as writer:
      for pair in pairs:
        writer.add(records.serialize(pair), len(pair.src), len(pair.tgt))
    VOCAB.save(path)
    for name, text in ((corpus.SOURCE, "w1 w2\nw3\u2028w4\n"), (corpus.TARGET, "w5\nw6 w7\n")):
      with open(f"{path}/{name}", "w", encoding="utf-8") as file:
        file.write(text)
    train = writer.split({"too long": 2}, [("train.en", "ab")])
    splits = {"train": train, "valid": corpus.Split(2, 5, 5, {3: 2})}
    corpus.write(path, corpus.Manifest("words", True, len(VOCAB), VOCAB.sha256, splits))
  return str(folder)
