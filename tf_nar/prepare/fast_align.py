"""Word alignment after Dyer, Chahuneau & Smith (NAACL 2013), a reparameterization of IBM model 2.

  p(e | f) = Π_j Σ_i p(a_j = i) t(e_j | f_i)
  p(a_j = 0) = p0, the empty word;      p(a_j = i) ∝ exp(-λ |i/S - j/T|)      i = 1 ... S, j = 1 ... T, no EOS

t is estimated by EM; with λ = 0 the model is IBM model 1 (Brown et al., 1993). All in numpy, a group of pairs at a
time. A "word" is a token of the vocabulary here, as in the paper.

# Differs: λ is fixed, t is a maximum likelihood estimate without a prior, and every target word is aligned to a source
word: the empty word is used in estimation only.
"""
from typing import Callable, Iterable, NamedTuple, Sequence

import numpy as np

TENSION, EMPTY = 4.0, 0.08  # λ and p0, the defaults of the released program.
CELLS = 1 << 21  # Size of a group, source positions times target positions with padding, which limits memory.
_UNSEEN = 1e-9  # t of two words that never occurred in one pair, so that the prior decides among such.
_NOTHING = 0  # The empty word: the id of PAD, which no sentence contains.


class Lexicon(NamedTuple):
  """t(e | f) of the words that occurred in one pair."""

  keys: np.ndarray  # int64 [n], increasing: f * words + e.
  prob: np.ndarray  # float64 [n].
  words: int  # V, the size of the target vocabulary.
  tension: float  # λ.


class _Group(NamedTuple):
  rows: list  # Indices of the pairs.
  keys: np.ndarray  # int64 [B, T, S + 1]; the empty word is first.
  prior: np.ndarray  # float64 [B, T, S + 1], p(a_j = i); 0 past the lengths.


def learn(pairs: Iterable[tuple[list[int], list[int]]], words: int, iterations: int = 5, *, tension: float = TENSION,
          progress: Callable[[int], None] | None = None) -> tuple[Lexicon, list[float]]:
  """Estimates a lexicon.

  Args:
    pairs: list of (source, target) lists of ids, without EOS.
    words: V, one more than the greatest target id.
    iterations: iterations of EM.
    tension: λ.
    progress: called with the number of pairs just processed, in each of `iterations` + 1 passes over them.

  Returns:
    `Lexicon`, and log p(e | f) per target word before each iteration, a list of floats.

  Raises:
    ValueError: if no pair has a word on both sides.
  """
  pairs = [pair for pair in pairs if pair[0] and pair[1]]
  if not pairs:
    raise ValueError("No pair has a word on both sides, so there is nothing to align.")
  lexicon, likelihoods = Lexicon(np.empty(0, np.int64), np.empty(0), words, tension), []
  lexicon = lexicon._replace(keys=_seen(_groups(pairs, lexicon, progress)))
  lexicon = _normalised(lexicon, np.ones(len(lexicon.keys)))
  count = sum(len(target) for _, target in pairs)
  for _ in range(iterations):
    total, seen = 0.0, np.zeros(len(lexicon.keys))
    for group in _groups(pairs, lexicon, progress):
      where = np.searchsorted(lexicon.keys, group.keys).clip(max=len(seen) - 1)
      joint = group.prior * lexicon.prob[where]
      each = joint.sum(-1, keepdims=True)
      total += np.log(each, where=each > 0, out=np.zeros_like(each)).sum()
      posterior = np.divide(joint, each, where=each > 0, out=np.zeros_like(joint))
      inside = group.prior > 0
      np.add.at(seen, where[inside], posterior[inside])
    likelihoods.append(float(total / count))
    lexicon = _normalised(lexicon, seen)
  return lexicon, likelihoods


def align(pairs: Sequence[tuple[list[int], list[int]]], lexicon: Lexicon) -> list[np.ndarray]:
  """Finds the source word of each target word.

  Args:
    pairs: list of (source, target) lists of ids, without EOS, of which neither is empty.
    lexicon: `Lexicon`.

  Returns:
    For each pair, int64 [T]: positions in the source, from 0.
  """
  found = [None] * len(pairs)
  for group in _groups(pairs, lexicon):
    where = np.searchsorted(lexicon.keys, group.keys).clip(max=len(lexicon.keys) - 1)
    known = lexicon.keys[where] == group.keys
    best = (group.prior * np.where(known, lexicon.prob[where], 0.0).clip(_UNSEEN))[..., 1:].argmax(-1)
    for row, positions in zip(group.rows, best, strict=True):
      found[row] = positions[:len(pairs[row][1])]
  return found


def fertility(pair: tuple[list[int], list[int]], positions: np.ndarray) -> tuple[int, ...]:
  """Counts the target tokens that are aligned to each source token.

  Args:
    pair: (source, target) lists of ids with EOS. EOS is aligned to EOS; if the source has no word, all target tokens
      are.
    positions: int [T - 1], the source position of each target word, from `align`; ignored for a source without words.

  Returns:
    tuple of S ints that add up to T.
  """
  source, target = pair
  if len(source) == 1:
    return (len(target),)
  return *np.bincount(positions, minlength=len(source) - 1).tolist(), 1


def _groups(pairs, lexicon, progress=None):
  """Yields the pairs as `_Group`s of similar lengths."""
  sizes = [(len(target), len(source)) for source, target in pairs]
  order = sorted(range(len(pairs)), key=lambda n: sizes[n])  # Stable.
  start = 0
  while start < len(order):
    stop, widest = start, 0
    while stop < len(order):
      widest = max(widest, sizes[order[stop]][1])
      if stop > start and (stop + 1 - start) * sizes[order[stop]][0] * (widest + 1) > CELLS:
        break
      stop += 1
    rows = order[start:stop]
    yield _group(rows, [pairs[n] for n in rows], lexicon)
    if progress:
      progress(len(rows))
    start = stop


def _seen(groups):
  """Returns the keys that occur in some groups, increasing."""
  keys, fresh = np.empty(0, np.int64), []
  for group in groups:
    fresh.append(np.unique(group.keys[group.prior > 0]))
    if sum(map(len, fresh)) > len(keys):  # Merged rarely, as each merge sorts all keys.
      keys, fresh = np.unique(np.concatenate([keys, *fresh])), []
  return np.unique(np.concatenate([keys, *fresh]))


def _group(rows, pairs, lexicon):
  source, target = (_padded([pair[side] for pair in pairs]) for side in (0, 1))
  i, j = (np.arange(1, tokens.shape[1] + 1) for tokens in (source, target))
  lengths = [np.array([len(pair[side]) for pair in pairs])[:, None, None] for side in (0, 1)]
  prior = np.exp(-lexicon.tension * np.abs(i / lengths[0] - j[:, None] / lengths[1])) * (i <= lengths[0])
  prior *= (1 - EMPTY) / prior.sum(-1, keepdims=True)
  prior = np.pad(prior, [(0, 0), (0, 0), (1, 0)], constant_values=EMPTY) * (j[:, None] <= lengths[1])
  source = np.pad(source, [(0, 0), (1, 0)], constant_values=_NOTHING)
  return _Group(rows, source[:, None] * lexicon.words + target[..., None], prior)


def _padded(sentences):
  array = np.full([len(sentences), max(map(len, sentences))], _NOTHING, np.int64)
  for row, sentence in zip(array, sentences, strict=True):
    row[:len(sentence)] = sentence
  return array


def _normalised(lexicon, counts):
  """Returns the lexicon with t(e | f) proportional to `counts`."""
  source = lexicon.keys // lexicon.words
  of_word = np.bincount(source, counts, minlength=lexicon.words)[source]
  return lexicon._replace(prob=np.divide(counts, of_word, where=of_word > 0, out=np.zeros_like(counts)))
