"""Translates and scores whole corpora of token ids; results are in the order of the input.

Sentences are sorted by length and split into groups of about the same number of padded tokens. Lengths are rounded up
to a multiple of `STEP`, and a group has as many rows as its length allows, so that the model gets few shapes; only the
last group is smaller, and padding rows fill it up to a power of two. The longest sentences come first, so that a lack
of memory shows at once. Under a distribution strategy every device works on a group of its own, see `replicas.py`.
"""
import functools
import itertools
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tf_nar import types
from tf_nar.evaluate import replicas

STEP = 8  # Padded lengths are multiples of this, or the longest length that the model takes.
WINDOW = 50_000  # Sentences that are held in memory at a time when a corpus is streamed.


class Candidate(NamedTuple):
  """One translation of one sentence."""

  tokens: list[int]  # Token ids, with EOS if it was predicted; no PAD.
  score: float  # The score that the search ranked by; higher is better.


NOTHING = Candidate([types.EOS], 0.0)  # The translation of an empty line, with probability 1.


def searcher(model: Any, search: Any,
             teacher_score: Callable[..., tf.Tensor] | None = None) -> Callable[..., types.Translation]:
  """Returns `model.translate` as one graph for all shapes: int32 [B, S] -> `types.Translation`.

  Args:
    model: a model of any family.
    search: the `Search` of that family.
    teacher_score: src int32 [B, S], tgt int32 [B, N, T] -> float32 [B, N], from `rescoring.by`, ranks the candidates;
      None: the model ranks them.
  """
  def translate_batch(src):
    return model.translate(src, search, rescore=teacher_score and functools.partial(teacher_score, src))
  return replicas.spread(translate_batch, [tf.TensorSpec([None, None], tf.int32)])


def positions(model: Any, search: Any, tokens_per_batch: int) -> int:
  """Returns the padded source tokens per batch of a search, given those for one candidate per sentence.

  Candidates that are decoded in parallel divide the number, as their logits fill the memory.
  """
  return max(1, tokens_per_batch // (search.candidates if model.traits.side_by_side else 1))


def limit(model: Any, search: Any) -> Callable | None:
  """Returns a function from source lengths to the longest output of a search, in tokens; None if it has no limit."""
  return functools.partial(model.limit, search) if "limit" in model.traits.offers else None


def scorer(model: Any) -> Callable[..., tf.Tensor]:
  """Returns `model.score` as one graph for all shapes: int32 [B, S], int32 [B, T] -> float32 [B]."""
  return of_pairs(model.score)


def of_pairs(method: Callable) -> Callable:
  """Returns a function of int32 [B, S] and int32 [B, T], such as `model.score_tokens`, as one graph for all shapes."""
  return replicas.spread(lambda src, tgt: method(src, tgt), [tf.TensorSpec([None, None], tf.int32)] * 2)


def terms(model: Any) -> Callable[..., dict]:
  """Returns the terms of `model.objective` with dropout off, as one graph of pairs -> {name: (total, count)}."""
  def totals(src, tgt):
    batch = types.Batch(src, tgt, tf.cast(src[:, 0] != types.PAD, tf.float32))
    made = model.objective(batch, seed=None, training=False, step=tf.constant(0, tf.int64)).terms
    return {name: (term.total, term.count) for name, term in made.items()}

  return of_pairs(totals)


def translate(model_translate: Callable[..., types.Translation], sources: Sequence[list[int]], *, tokens_per_batch: int,
              longest: int | None = None, progress: Callable[[int], None] | None = None,
              limit: Callable | None = None) -> list[list[Candidate]]:
  """Translates every source.

  Args:
    model_translate: maps int32 [B, S], padding rows included, to a `types.Translation`.
    sources: lists of ids with EOS; a source of EOS only is not given to the model, its translation is `NOTHING`.
    tokens_per_batch: padded source tokens per group; a longer sentence is a group by itself.
    longest: the most source tokens that the model takes, which rounding up must not exceed.
    progress: called with the number of sentences just translated.
    limit: from `limit`; a warning gives the number of translations that reach it, as they may be cut off.

  Returns:
    For each source, in the given order, the list of its `Candidate`s, best first. Candidates with a score of -inf,
    which the search did not find, and duplicates of better ones are left out, so that a list may be empty.

  Raises:
    ValueError: for a source longer than `longest`, or `tokens_per_batch` below 1.
  """
  found = [[NOTHING] for _ in sources]
  nonempty = [i for i, source in enumerate(sources) if any(token != types.EOS for token in source)]
  for rows, answer in _answers(model_translate, [(source,) for source in sources], nonempty, tokens_per_batch, longest):
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
  """Warns of the number of translations that are as long as the search allows; `lengths` are those of the sources."""
  most = np.asarray(limit(np.array(lengths, np.int32)))
  most = most if longest is None else np.minimum(most, longest)
  cut = sum(bool(each) and len(each[0].tokens) >= bound for each, bound in zip(found, most, strict=True))
  if cut:
    logging.warning("%d of %d translations are as long as the search allows and may be cut off; raise "
                    "search.length_ratio or search.extra_length.", cut, len(found))


def _different(candidates):
  """Returns the list of candidates without later duplicates."""
  first = {}
  for candidate in candidates:
    first.setdefault(tuple(candidate.tokens), candidate)
  return list(first.values())


def score(model_score: Callable[..., tf.Tensor], pairs: Sequence[tuple[list[int], list[int]]], *, tokens_per_batch: int,
          longest: int | None = None, progress: Callable[[int], None] | None = None) -> np.ndarray:
  """Scores every pair; in a group, both sides are padded to the length of the longest.

  A target longer than `longest` cannot be produced by the model and scores -inf.

  Args:
    model_score: maps int32 [B, S] and int32 [B, T], padding rows included, to float32 [B].
    pairs: (source, target) lists of ids with EOS.
    tokens_per_batch: padded tokens of one side per group.
    longest: the most tokens that the model takes on a side.
    progress: called with the number of pairs just scored.

  Returns:
    float32 [n], in the given order.

  Raises:
    ValueError: for a source longer than `longest`, or `tokens_per_batch` below 1.
  """
  scores = np.full(len(pairs), -np.inf, np.float32)
  sayable = [i for i, (_, target) in enumerate(pairs) if longest is None or len(target) <= longest]
  for rows, answer in _answers(model_score, pairs, sayable, tokens_per_batch, longest):
    scores[rows] = np.asarray(answer)[:len(rows)]
    if progress:
      progress(len(rows))
  if progress:
    progress(len(pairs) - len(sayable))
  return scores


def by_token(of_tokens: Callable[..., tf.Tensor], pairs: Sequence[tuple[list[int], list[int]]], *,
             tokens_per_batch: int, longest: int | None = None) -> list[np.ndarray | None]:
  """Returns a number, or a row of numbers, for each target token of every pair.

  Args:
    of_tokens: maps int32 [B, S] and int32 [B, T], padding rows included, to [B, T] or [B, T, S].
    pairs, tokens_per_batch, longest: as for `score`.

  Returns:
    For each pair, in the given order, an array of as many entries as the target has tokens, EOS included, and with a
    third axis as many columns as the source has; None for a target longer than `longest`.

  Raises:
    As `score`.
  """
  found = [None] * len(pairs)
  sayable = [i for i, (_, target) in enumerate(pairs) if longest is None or len(target) <= longest]
  for rows, answer in _answers(of_tokens, pairs, sayable, tokens_per_batch, longest):
    made = np.asarray(answer)
    for row, i in enumerate(rows):
      source, target = map(len, pairs[i])
      found[i] = made[row, :target, :source] if made.ndim == 3 else made[row, :target]
  return found


def mean_terms(model_terms: Callable[..., dict], pairs: Sequence[tuple[list[int], list[int]]], *, tokens_per_batch: int,
               longest: int | None = None) -> dict[str, float]:
  """Returns {name: mean} of the loss terms over (source, target) pairs of ids with EOS; see `terms`."""
  sums = {}
  for _, made in _answers(model_terms, pairs, range(len(pairs)), tokens_per_batch, longest):
    for name, (total, count) in made.items():
      before = sums.get(name, (0.0, 0.0))
      sums[name] = before[0] + float(total), before[1] + float(count)
  return {name: total / count for name, (total, count) in sums.items() if count}


def stream(run: Callable[[list], Iterable], items: Iterable, window: int = WINDOW) -> Iterator:
  """Yields the results of `run`, a function of a list, for `window` items at a time, to limit memory."""
  items = iter(items)
  while chunk := list(itertools.islice(items, window)):
    yield from run(chunk)


def neighbours(sources: Iterable[list[int]], rows: int, longest: int | None = None) -> list[np.ndarray]:
  """Returns a list of int32 [rows, S]: groups of sources of similar length, shortest first; the rest is left out.

  Args:
    sources: lists of ids with EOS.
    rows: sentences per group.
    longest: as for `translate`.
  """
  order = sorted(sources, key=len)
  cut = [order[start:start + rows] for start in range(0, len(order) - rows + 1, rows)]
  return [_padded(some, (rows, _rounded(len(some[-1]), longest))) for some in cut]


def _answers(run, sentences, indices, tokens_per_batch, longest):
  """Yields (indices of the sentences of a group, the result of `run` for it), the longest sentences first.

  Args:
    run: a function of int32 [B, S], or of int32 [B, S] and int32 [B, T].
    sentences: tuples of as many lists of ids.
    indices: those of the sentences to use.
    tokens_per_batch, longest: as for `translate`.
  """
  lengths, devices = [max(map(len, sentences[i])) for i in indices], replicas.devices(run)
  groups = list(_groups(indices, lengths, tokens_per_batch, longest, devices.count if devices.alike else 1))
  batches = (tuple(_padded(side, shape) for side in zip(*(sentences[i] for i in rows), strict=True))
             for rows, shape in groups)
  for (rows, _), answer in zip(groups, replicas.each(run, batches), strict=True):
    yield rows, answer


def _groups(indices, lengths, tokens_per_batch, longest, alike=1):
  """Yields (indices of the sentences, (rows, length) to pad them to), the longest sentences first.

  `alike` groups in a row have the same shape, and the shortest sentences are divided equally among the last ones.
  """
  if tokens_per_batch < 1:
    raise ValueError(f"tokens_per_batch must be at least 1; got {tokens_per_batch}.")
  order = sorted(zip(lengths, indices, strict=True), key=lambda pair: -pair[0])  # Stable.
  if longest is not None and order and order[0][0] > longest:
    length, index = order[0]
    raise ValueError(f"Sentence {index} has {length} tokens with EOS, but the model takes at most {longest}; "
                     "cut or drop it.")
  start = 0
  while start < len(order):
    length = _rounded(order[start][0], longest)
    fit = max(1, tokens_per_batch // length)
    count = min(fit, -(-(len(order) - start) // alike))
    rows = min(fit, 1 << (count - 1).bit_length())  # The least power of two that is not below the count, if it fits.
    end = min(start + alike * count, len(order))
    for first in range(start, end, count):
      yield [i for _, i in order[first:min(first + count, end)]], (rows, length)
    start = end


def _rounded(length, longest):
  length = -(-max(length, 1) // STEP) * STEP
  return length if longest is None else min(length, longest)


def _padded(sentences, shape):
  array = np.full(shape, types.PAD, np.int32)
  for row, sentence in zip(array, sentences, strict=False):  # Rows beyond the sentences remain padding.
    row[:len(sentence)] = sentence
  return array
