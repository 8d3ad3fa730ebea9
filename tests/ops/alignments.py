"""CTC by enumeration of all paths: the reference for its dynamic programmes."""
import itertools
import math

import numpy as np

from tf_nar.ops import ctc

VOCAB, WORDS = 7, (2, 5, 6)  # The labels besides the blank; the rest is PAD, EOS and BOS.


def logits(count, positions, seed, scale=1.5):
  """Returns float32 [count, positions, VOCAB]."""
  return np.random.default_rng(seed).normal(size=[count, positions, VOCAB], scale=scale).astype(np.float32)


def log_softmax(logits):
  logits = np.asarray(logits, np.float64)
  return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def collapsed(path):
  """Merges repeats, then removes blanks."""
  return tuple(token for token, _ in itertools.groupby(path) if token != ctc.BLANK)


def paths(log_prob):
  """Yields every path of log_prob [P, V] over WORDS and the blank, with its log p."""
  for path in itertools.product((*WORDS, ctc.BLANK), repeat=len(log_prob)):
    yield path, sum(log_prob[position, token] for position, token in enumerate(path))


def sentences(log_prob):
  """Returns {sentence: log p} of all sentences with a path under log_prob [P, V]."""
  found = {}
  for path, total in paths(log_prob):
    found.setdefault(collapsed(path), []).append(math.exp(total))
  return {sentence: math.log(sum(parts)) for sentence, parts in found.items()}


def best_paths(log_prob):
  """Returns {sentence: (log p, path)} of the most probable path of each."""
  found = {}
  for path, total in paths(log_prob):
    found[collapsed(path)] = max(found.get(collapsed(path), (-math.inf, ())), (total, path))
  return found
