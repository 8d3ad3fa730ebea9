"""A synthetic language pair for which the best possible NAR model is known in closed form.

A source is a sequence of made-up words. It has `modes` equally good translations: every word gets the ending of the
mode, the same for all words of a sentence. The text has one of them, drawn independently for each sentence:

  source   bada kuvi      mode 0   badan kuvin      mode 1   badas kuvis      mixed, wrong   badan kuvis

The source does not determine the mode, so a model that predicts all words independently pays the entropy H of the mode
for every word, and an autoregressive one pays it once per sentence. With W words in a sentence, and EOS:

  NCM  = H E[W] / E[W + 1]            nats per token of a NAR model, at best   (`parallel_nats`)
  NLL  = H / E[W + 1]                 nats per token of an AR model
  BLEU <= 100 max share               against one reference, for translations wholly in the most frequent mode

A target is as long as its source, so the length costs nothing. Sun & Yang (ICML 2020) lower NCM by choosing the text.
Distillation alone lowers it only as far as the teacher prefers one mode: a teacher that has memorised the mode of each
training sentence reproduces all modes. A student that cannot memorise them prefers the more frequent mode slightly. For
a rare word the preference is noisy, so that argmax, word by word, mixes modes; but over a sentence the preferences add
up, so that the student ranks candidates wholly in that mode first.
"""
import dataclasses
import math
import os
from typing import Sequence

import numpy as np

from tf_nar import types
from tf_nar.data import atomic
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib

_ENDINGS = "nslrtm"  # One for each mode.
_CONSONANTS, _VOWELS = "bdfgkpvz", "aeiou"


@dataclasses.dataclass(frozen=True)
class Config:
  """A toy pair. A share `first_share` of the text is in the first mode, the rest is shared equally by the others."""

  words: int = 40  # Number of distinct source words.
  modes: int = 2  # Number of translations of a sentence.
  first_share: float = 0.55  # Share of the text in the first mode; the other modes have equal shares of the rest.
  shortest: int = 4  # Least number of words in a sentence; lengths are uniformly distributed.
  longest: int = 8  # Largest number of words in a sentence.
  pairs: int = 600  # Training sentences, all different.
  valid_pairs: int = 200  # Validation sentences, none of which is a training sentence.
  seed: int = 0  # Seed of the text.

  def __post_init__(self):
    if not 1 <= self.modes <= len(_ENDINGS):
      raise ValueError(f"toy.modes must be from 1 to {len(_ENDINGS)}; got {self.modes}.")
    if not 0 < self.first_share <= 1 or (self.modes == 1) != (self.first_share == 1):
      raise ValueError(f"toy.first_share must be above 0 and below 1, or 1 for one mode; got {self.first_share} "
                       f"for {self.modes} modes.")
    most = (len(_CONSONANTS) * len(_VOWELS)) ** 2
    if not (1 <= self.shortest <= self.longest and 2 <= self.words <= most):
      raise ValueError(f"A toy needs 1 <= shortest <= longest and 2 to {most} words; got {self.shortest}, "
                       f"{self.longest} and {self.words}.")
    if self.words * (self.words - 1)**(self.shortest - 1) < 2 * (self.pairs + self.valid_pairs):
      raise ValueError(f"{self.words} words make too few sentences of {self.shortest} for {self.pairs} + "
                       f"{self.valid_pairs} different ones; raise toy.words or toy.shortest.")


def shares(config: Config) -> np.ndarray:
  """Returns float [modes]: the share of the text in each mode."""
  rest = (1 - config.first_share) / max(config.modes - 1, 1)
  return np.array([config.first_share] + [rest] * (config.modes - 1))


def entropy(config: Config) -> float:
  """Returns H, the entropy of the mode of a sentence in nats."""
  return float(-sum(share * math.log(share) for share in shares(config)))


def parallel_nats(config: Config) -> float:
  """Returns the NCM of the text under an ideal NAR model, in nats per target token with EOS."""
  words = (config.shortest + config.longest) / 2
  return entropy(config) * words / (words + 1)


def translate(source: str, mode: int) -> str:
  """Returns the translation of a line in one mode."""
  return " ".join(word + _ENDINGS[mode] for word in source.split())


def mode(source: str, target: str) -> int | None:
  """Returns the mode of a translation, or None if it is mixed or wrong."""
  matching = [k for k in range(len(_ENDINGS)) if target and target == translate(source, k)]
  return matching[0] if matching else None


def valid_share(sources: Sequence[str], targets: Sequence[str]) -> float:
  """Returns the share of lines that are translated wholly in one mode, whichever it is.

  Raises:
    ValueError: if the numbers of sources and targets differ or are 0.
  """
  if len(sources) != len(targets) or not sources:
    raise ValueError("Expected as many targets as sources, at least one; got "
                     f"{len(targets)} and {len(sources)}.")
  return sum(mode(*pair) is not None for pair in zip(sources, targets, strict=True)) / len(sources)


def sentences(config: Config) -> tuple[list[str], list[str]]:
  """Makes the text, which depends on the config only.

  Returns:
    sources: `pairs + valid_pairs` different lines.
    targets: the translation of each.
  """
  draw = np.random.default_rng(config.seed)
  words, chosen = _source_words(config.words), {}  # A dict keeps the order in which it was filled.
  while len(chosen) < config.pairs + config.valid_pairs:
    length = draw.integers(config.shortest, config.longest + 1)
    # No word is repeated, so that a search that forbids repeated tokens (ODD) loses nothing.
    steps = [draw.integers(len(words)), *draw.integers(1, len(words), size=length - 1)]
    chosen[" ".join(words[k % len(words)] for k in np.cumsum(steps))] = None
  modes = draw.choice(config.modes, len(chosen), p=shares(config))
  return list(chosen), [translate(line, k) for line, k in zip(chosen, modes, strict=True)]


def write(folder: str, config: Config, shards: int = 2) -> corpus.Manifest:
  """Writes the pair as a data folder.

  Args:
    folder: the folder to write; it appears when it is complete.
    config: a `Config`.
    shards: number of record files.

  Returns:
    The folder's `corpus.Manifest`.

  Raises:
    FileExistsError: if `folder` already exists and is not empty.
  """
  sources, targets = sentences(config)
  vocab = vocabulary(config)
  ids = lambda line: [*vocab.encode(line), types.EOS]
  with corpus.building(folder) as building:
    with corpus.Writer(building, shards) as writer:
      for index in range(config.pairs):
        pair = records.Pair(ids(sources[index]), ids(targets[index]), 1.0, index)
        writer.add(records.serialize(pair), len(pair.src), len(pair.tgt))
    for name, lines in ((corpus.SOURCE, sources), (corpus.TARGET, targets)):
      text = "".join(f"{line}\n" for line in lines[config.pairs:])
      atomic.write(os.path.join(building, name), text.encode())
    vocab.save(building)
    tokens = sum(len(line.split()) + 1 for line in sources[config.pairs:])
    valid = corpus.Split(config.valid_pairs, tokens, tokens, _lengths(sources[config.pairs:]))
    splits = {"train": writer.split(), "valid": valid}
    manifest = corpus.Manifest("words", True, len(vocab), vocab.sha256, splits)
    corpus.write(building, manifest)
  return manifest


def vocabulary(config: Config) -> vocab_lib.WordList:
  """Returns the `WordList` of both languages."""
  words = _source_words(config.words)
  targets = [word + ending for ending in _ENDINGS[:config.modes] for word in words]
  return vocab_lib.WordList([*types.SPECIALS, *words, *targets])


def _source_words(count):
  syllables = [c + v for c in _CONSONANTS for v in _VOWELS]
  step = 7  # Coprime to their number, so that neighbours in the list look different.
  return [syllables[k % len(syllables)] + syllables[(step * k + k // len(syllables)) % len(syllables)]
          for k in range(count)]


def _lengths(lines):
  lengths = [len(line.split()) + 1 for line in lines]
  return {length: lengths.count(length) for length in sorted(set(lengths))}
