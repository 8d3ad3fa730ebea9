"""Translates and scores whole corpora of token ids, in the order they came in.

Sentences are sorted by length and cut into groups of about as many padded tokens each. Lengths are rounded up
to `STEP` and a group has as many rows as its length allows, so a corpus shows the model few shapes; only the
last group is smaller, and blank rows fill it to a power of two. Longest first: what does not fit into memory
fails in the first second.
"""
import functools
import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from tf_nar import types

STEP = 8  # Padded lengths are multiples of this, or the longest length that the model takes.
WINDOW = 50_000  # Sentences in memory at a time when a corpus streams through.


class Candidate(NamedTuple):
  """One translation of one sentence."""

  tokens: list[int]  # Words, and EOS if it was said; no PAD.
  score: float  # What the search ranked by, higher is better.


NOTHING = Candidate([types.EOS], 0.0)  # The sure translation of an empty line.


def searcher(model, search, teacher_score=None):
  """Returns `model.translate` as one graph for all shapes: int32 [B, S] -> `types.Translation`.

  Args:
    model: of any family.
    search: that family's `Search`.
    teacher_score: src int32 [B, S], tgt int32 [B, N, T] -> float32 [B, N], as `rescoring.by` gives it, to
      choose among the candidates; None leaves that to the model.
  """
  # Without autograph, for which nothing here asks, what a search refuses is said in one line.
  @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
  def translate_batch(src):
    return model.translate(src, search, rescore=teacher_score and functools.partial(teacher_score, src))
  return translate_batch


def positions(model, search, tokens_per_batch):
  """Returns how many source positions to show a search at once, when one candidate a sentence allows so many tokens.

  Candidates that are decoded side by side share the memory, which their logits fill.
  """
  return max(1, tokens_per_batch // (search.candidates if model.traits.side_by_side else 1))


def limit(model, search):
  """Returns a function from source tokens to the most tokens that a search says; None where it sets no limit."""
  return functools.partial(model.limit, search) if "limit" in model.traits.offers else None


def scorer(model):
  """Returns `model.score` as one graph for all shapes: int32 [B, S], int32 [B, T] -> float32 [B]."""
  signature = [tf.TensorSpec([None, None], tf.int32)] * 2
  return tf.function(lambda src, tgt: model.score(src, tgt), input_signature=signature, autograph=False)


def terms(model):
  """Returns the terms of `model.objective`, dropout off, as one graph: a `Batch` -> {name: (total, count)}."""
  tokens = tf.TensorSpec([None, None], tf.int32)
  signature = [types.Batch(tokens, tokens, tf.TensorSpec([None], tf.float32))]

  def totals(batch):
    made = model.objective(batch, seed=None, training=False, step=tf.constant(0, tf.int64)).terms
    return {name: (term.total, term.count) for name, term in made.items()}

  return tf.function(totals, input_signature=signature, autograph=False)


def translate(model_translate, sources, *, tokens_per_batch, longest=None, progress=None, limit=None):
  """Translates every source.

  Args:
    model_translate: maps int32 [B, S], blank rows included, to a `types.Translation`.
    sources: lists of ids with EOS; one with no word in it is not shown to the model but gives `NOTHING`.
    tokens_per_batch: padded source places in a group; a longer sentence is a group of its own.
    longest: the most source tokens that the model takes, so that rounding up does not exceed it.
    progress: called with the number of sentences just done.
    limit: as `limit` gives it; translations that reach it are counted and warned of, for they may be cut off.

  Returns:
    For each source, in the given order, the list of its `Candidate`s, best first. Candidates that are not
    there (score -inf) are left out, and so are those that say again what a better one says, so a list may be empty.

  Raises:
    ValueError: for a source above `longest`, or `tokens_per_batch` below 1.
  """
  found = [[NOTHING] for _ in sources]
  nonempty = [i for i, source in enumerate(sources) if any(token != types.EOS for token in source)]
  for rows, shape in _groups(nonempty, [len(sources[i]) for i in nonempty], tokens_per_batch, longest):
    answer = model_translate(_padded([sources[i] for i in rows], shape))
    tokens, scores = np.asarray(answer.tokens), np.asarray(answer.score)  # [B, N, T], [B, N]
    for row, i in enumerate(rows):
      found[i] = _different(
        Candidate(words[words != types.PAD].tolist(), float(score))
        for words, score in zip(tokens[row], scores[row], strict=True) if score != -np.inf)
    if progress:
      progress(len(rows))
  if progress:
    progress(len(found) - len(nonempty))
  if limit:
    _warn_of_cuts([len(sources[i]) for i in nonempty], [found[i] for i in nonempty], limit, longest)
  return found


def _warn_of_cuts(lengths, found, limit, longest):
  """Counts the translations as long as the search allows; `lengths` are of their sources."""
  most = np.asarray(limit(np.array(lengths, np.int32)))
  most = most if longest is None else np.minimum(most, longest)
  cut = sum(bool(each) and len(each[0].tokens) >= bound for each, bound in zip(found, most, strict=True))
  if cut:
    logging.warning("%d of %d translations are as long as the search allows and may be cut off; raise "
                    "search.length_ratio or search.extra_length.", cut, len(found))


def _different(candidates):
  """Returns those that say something new, as a list."""
  first = {}
  for candidate in candidates:
    first.setdefault(tuple(candidate.tokens), candidate)
  return list(first.values())


def score(model_score, pairs, *, tokens_per_batch, longest=None, progress=None):
  """Scores every pair; a group pads both sides to one length, that of its longest side.

  A target above `longest` is one that the model cannot say: -inf.

  Args:
    model_score: maps int32 [B, S] and int32 [B, T], blank rows included, to float32 [B].
    pairs: (source, target) lists of ids with EOS.
    tokens_per_batch: padded places of one side in a group.
    longest: the most tokens a side that the model takes.
    progress: called with the number of pairs just done.

  Returns:
    float32 [n], in the given order.

  Raises:
    ValueError: for a source above `longest`, or `tokens_per_batch` below 1.
  """
  scores = np.full(len(pairs), -np.inf, np.float32)
  sayable = [i for i, (_, target) in enumerate(pairs) if longest is None or len(target) <= longest]
  lengths = [max(map(len, pairs[i])) for i in sayable]
  for rows, shape in _groups(sayable, lengths, tokens_per_batch, longest):
    src, tgt = (_padded([pairs[i][side] for i in rows], shape) for side in (0, 1))
    scores[rows] = np.asarray(model_score(src, tgt))[:len(rows)]
    if progress:
      progress(len(rows))
  if progress:
    progress(len(pairs) - len(sayable))
  return scores


def mean_terms(model_terms, pairs, *, tokens_per_batch, longest=None):
  """Returns {name: mean} of an objective's terms over (source, target) pairs of ids with EOS; see `terms`."""
  sums = {}
  for rows, shape in _groups(range(len(pairs)), [max(map(len, pair)) for pair in pairs], tokens_per_batch, longest):
    src, tgt = (_padded([pairs[i][side] for i in rows], shape) for side in (0, 1))
    made = model_terms(types.Batch(src, tgt, (src[:, 0] != types.PAD).astype(np.float32)))
    for name, (total, count) in made.items():
      before = sums.get(name, (0.0, 0.0))
      sums[name] = before[0] + float(total), before[1] + float(count)
  return {name: total / count for name, (total, count) in sums.items() if count}


def stream(run, items, window=WINDOW):
  """Yields the results of `run`, a function of a list, for more than memory holds: `window` items a time."""
  items = iter(items)
  while chunk := list(itertools.islice(items, window)):
    yield from run(chunk)


def neighbours(sources, rows, longest=None):
  """Returns a list of int32 [rows, S]: sources of about one length together, shortest first; the odd ones are left out.

  Args:
    sources: lists of ids with EOS.
    rows: sentences a group.
    longest: as for `translate`.
  """
  order = sorted(sources, key=len)
  cut = [order[start:start + rows] for start in range(0, len(order) - rows + 1, rows)]
  return [_padded(some, (rows, _rounded(len(some[-1]), longest))) for some in cut]


def _groups(indices, lengths, tokens_per_batch, longest):
  """Yields (indices of the sentences, (rows, length) to pad them to), the longest sentences first."""
  if tokens_per_batch < 1:
    raise ValueError(f"tokens_per_batch must be at least 1; got {tokens_per_batch}.")
  order = sorted(zip(lengths, indices, strict=True), key=lambda pair: -pair[0])  # Stable.
  if longest is not None and order and order[0][0] > longest:
    length, index = order[0]
    raise ValueError(f"Sentence {index} has {length} tokens with EOS, but the model takes {longest}; "
                     "cut or drop it.")
  start = 0
  while start < len(order):
    length = _rounded(order[start][0], longest)
    fit = max(1, tokens_per_batch // length)
    rows = [i for _, i in order[start:start + fit]]
    left = 1 << (len(rows) - 1).bit_length()  # The next power of two, at least as many as there are.
    yield rows, (min(fit, left), length)
    start += fit


def _rounded(length, longest):
  length = -(-max(length, 1) // STEP) * STEP
  return length if longest is None else min(length, longest)


def _padded(sentences, shape):
  array = np.full(shape, types.PAD, np.int32)
  for row, sentence in zip(array, sentences, strict=False):  # Rows beyond the sentences stay blank.
    row[:len(sentence)] = sentence
  return array
