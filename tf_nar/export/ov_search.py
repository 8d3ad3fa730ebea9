"""Searches over paths, in numpy, for the translate.py beside it; the same as the model's own searches.

Shapes: B sentences, P positions or L vertices, V tokens, K prefixes of a beam.
"""
from collections.abc import Callable

import numpy as np

PAD, BLANK = 0, 4
NEVER, IMPOSSIBLE = -float("inf"), -1e9


def likeliest(log_prob: np.ndarray, count: int, without: list[int]) -> tuple[np.ndarray, np.ndarray]:
  """Returns the best tokens but those of `without`, and their log p, [B, P, count]; log_prob [B, P, V], V = 64 n.

  Not in the network, as OpenVINO's TopK takes longer than all else for a `count` of 40.
  """
  scores = log_prob.copy()
  scores[..., without] = NEVER
  # In as many runs of 64 tokens there is at least one such token; few others are above the least of these.
  runs = np.sort(scores.reshape(*scores.shape[:2], -1, 64).max(-1), -1)
  least = runs[..., -count, None] if runs.shape[-1] > count else NEVER
  row, position, token = (scores >= least).nonzero()
  cell = row * scores.shape[1] + position
  each = np.bincount(cell, minlength=scores[..., 0].size)
  at = np.arange(len(cell)) - (each.cumsum() - each)[cell]
  ids, found = np.zeros([each.size, each.max()], int), np.full([each.size, each.max()], NEVER, np.float32)
  ids[cell, at], found[cell, at] = token, scores[row, position, token]
  found, order = _best(found, count)
  shaped = lambda x: x.reshape(*scores.shape[:2], -1)
  return shaped(np.take_along_axis(ids, order, 1)), shaped(found)


def prefix_beam(
    ids: np.ndarray, best: np.ndarray, log_prob: np.ndarray, positions: np.ndarray, *, beam: int, nbest: int,
    longest: int, bonus: float) -> list[list[tuple[float, np.ndarray]]]:
  """CTC's prefix beam search; b and n are log p of the paths of a prefix that end in a blank or in its last token.

  Args:
    ids, best: the best tokens at each position, without the blank, and their log p, [B, P, kept].
    log_prob: log p of all tokens, [B, P, V].
    positions: how many positions each sentence has, [B].
    beam: K.
    nbest: the greatest number of candidates.
    longest: the greatest number of tokens.
    bonus: added to a score for each token.

  Returns:
    For each sentence a list of (score, tokens), best first.
  """
  batch, kept, width = len(ids), ids.shape[2], min(ids.shape[1], longest)
  row, column = np.arange(batch)[:, None], np.arange(width)
  tokens, count = np.full([batch, beam, width], PAD), np.zeros([batch, beam], int)
  b = np.where(np.arange(beam) == 0, np.zeros([batch, 1], np.float32), np.float32(NEVER))
  n = np.full([batch, beam], NEVER, np.float32)
  for t in range(positions.max()):
    end = column == count[..., None] - 1
    last = np.where(count > 0, np.where(end, tokens, 0).sum(-1), BLANK)
    again, blank, total = log_prob[row, t, last], log_prob[:, t, BLANK, None], np.logaddexp(b, n)
    shorter = np.where(end, PAD, tokens)
    longer = (tokens[:, :, None] == shorter[:, None]).all(-1) & (count > 0)[:, None]  # [B, K of, K is]: by one token.
    gain = np.where(last[:, :, None] == last[:, None], b[..., None], total[..., None]) + again[:, None] + bonus
    grown = np.logaddexp.reduce(np.where(longer, gain, NEVER), 1)
    stays = total + blank, np.logaddexp(np.where(count > 0, n + again, NEVER), grown)
    grows = np.where(last[..., None] == ids[:, None, t], b[..., None], total[..., None]) + best[:, None, t] + bonus
    there = (longer[..., None] & (last[..., None] == ids[:, None, t])[:, None]).any(2)  # In the beam already.
    grows = np.where(there | (count == width)[..., None], NEVER, grows)
    score, which = _best(np.concatenate([np.logaddexp(*stays), grows.reshape(batch, -1)], 1), beam)
    grew, added = which >= beam, (which - beam) % kept
    parent = np.where(grew, (which - beam) // kept, which)
    base, size = tokens[row, parent], count[row, parent]
    token = np.where(grew, ids[row, t, np.where(grew, added, 0)], PAD)
    new = (np.where(grew[..., None] & (column == size[..., None]), token[..., None], base), size + grew,
           np.where(grew, NEVER, stays[0][row, parent]), np.where(grew, score, stays[1][row, parent]))
    inside = t < positions
    tokens, count, b, n = (np.where(inside.reshape([-1] + [1] * (x.ndim - 1)), x, old)
                           for x, old in zip(new, (tokens, count, b, n), strict=True))
  score, order = _best(np.logaddexp(b, n), nbest)
  return [[(one, tokens[i, k, :count[i, k]]) for one, k in zip(score[i], order[i], strict=True) if one > NEVER]
          for i in range(batch)]


def viterbi(
    links: np.ndarray, gain: np.ndarray, end: np.ndarray, *, steps: int, penalty: float,
    candidates: int) -> list[list[tuple[float, np.ndarray]]]:
  """The best paths through a DA-Transformer's graph, of the lengths with the best score / length^penalty.

  Args:
    links: log E[from, to], [B, L, L].
    gain: what a vertex adds to the score, [B, L].
    end: the last vertex of each sentence, [B].
    steps: the greatest length.
    penalty: the exponent.
    candidates: the greatest number of paths.

  Returns:
    For each sentence a list of (score, vertices without the first), best first.
  """
  arrive, row = links.transpose(0, 2, 1), np.arange(len(end))
  scores = [np.where(np.arange(links.shape[1]) == 0, np.float32(0), np.float32(IMPOSSIBLE))[None].repeat(len(end), 0)]
  for _ in range(steps):
    scores.append((scores[-1][:, None] + arrive).max(-1) + gain)
  whole = np.stack([score[row, end] for score in scores[1:]], 1)  # [B, steps]
  divided = whole / np.arange(1, steps + 1, dtype=np.float32) ** np.float32(penalty)
  ranked, order = _best(np.where(whole > IMPOSSIBLE / 2, divided, NEVER), candidates)

  def traced(i, length):
    path = [end[i]]
    for score in scores[length - 1:0:-1]:
      path.append((arrive[i, path[-1]] + score[i]).argmax())
    return np.array(path[::-1])

  return [[(score, traced(i, at + 1)) for score, at in zip(ranked[i], order[i], strict=True) if score > NEVER]
          for i in row]


def greedy_codes(
    following: Callable, codes: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """The codes of a Latent Transformer, one after the other.

  Args:
    following: maps codes int32 [R, M] to the best code at each position given those before it, and its log p.
    codes: zeros int32 [R, M].
    counts: how many codes each row has, [R].

  Returns:
    Codes int32 [R, M], 0 past the counts, and the sum of their log p, [R].
  """
  score = np.zeros(len(codes), np.float32)
  for t in range(counts.max()):
    code, log_prob = following(codes)
    codes[:, t] = np.where(t < counts, code[:, t], 0)
    score += np.where(t < counts, log_prob[:, t], 0)
  return codes, score


def without_repeats(token: list[list[int]], log_prob: list[list[float]], free: list[list[bool]]) -> list[int]:
  """Returns which of the K tokens of each position has the best path without repeated tokens, that are not free.

  This is the Viterbi algorithm; the arguments are lists [T][K].
  """
  score, back = log_prob[0], []
  for before, here, gain, may in zip(token, token[1:], log_prob[1:], free[1:], strict=False):
    new, choice = [], []
    for word, more, freely in zip(here, gain, may, strict=True):
      ways = [old - 1e9 * (last == word and not freely) for old, last in zip(score, before, strict=True)]
      choice.append(ways.index(max(ways)))
      new.append(max(ways) + more)
    score = new
    back.append(choice)
  path = [score.index(max(score))]
  for choice in reversed(back):
    path.append(choice[path[-1]])
  return path[::-1]


def log_softmax(logits: np.ndarray) -> np.ndarray:
  """[..., V] -> their log p."""
  over = logits - logits.max(-1, keepdims=True)
  return over - np.log(np.exp(over).sum(-1, keepdims=True))


def _best(score, count):
  """Returns the `count` greatest of each row and where they are, best first; ties go to the first."""
  order = np.argsort(-score, axis=1, kind="stable")[:, :count]
  return np.take_along_axis(score, order, 1), order
