"""The greedy translation of an autoregressive model by means of drafts, for the translate.py beside it.

The result is that of `tf_nar/decode/speculative.py`. There a pass computes a few new positions after a cache; here it
computes whole translations, since a small network of fixed shape takes less time than the care of a cache.
"""
from collections.abc import Callable
from collections.abc import Sequence

import numpy as np

PAD, EOS, BOS = 0, 1, 3
MATCH = 4  # One agreeing token makes up for so many positions of distance.


def greedy(
    best_after: Callable, drafts: Sequence[Sequence[list[int]]], limits: Sequence[int], *, block: int,
    positions: int) -> list[tuple[float, list[int]]]:
  """Returns for each sentence (log p, tokens with EOS) of the best token at each step.

  Args:
    best_after: maps n numbers of sentences, R possible beginnings of translations of each, int32 [n, R, T], and a
      position in them, int32 [n], to the best token at that position given those before, and the same for the
      positions behind it; its log p; and that of EOS: [n, R, K] each.
    drafts: for each sentence a list of drafts, without EOS.
    limits: the greatest number of tokens of each translation, EOS included; at the limit the last token is EOS.
    block: K.
    positions: R; so many continuations are tried at once. One is what the model itself predicted behind the last
      accepted token, the others are ends of the drafts.
  """
  found, scores, at = [[] for _ in limits], [0.0] * len(limits), [0] * len(limits)
  own = [list(each[0]) if each else [] for each in drafts]  # What the model predicted; at first the best draft.
  left = [n for n, limit in enumerate(limits) if limit]
  while left:
    rests = [_rests(found[n], drafts[n], at[n], own[n], positions) for n in left]
    tried = [found[n] + rest[:block - 1] for n, each in zip(left, rests, strict=True) for rest, _ in each]
    tokens = np.full([len(tried), 1 + max(map(len, tried))], PAD, np.int32)
    for padded, each in zip(tokens, tried, strict=True):
      padded[:len(each)] = each
    tokens = tokens.reshape(len(left), positions, -1)
    best, log_prob, ending = best_after(left, tokens, np.array([len(found[n]) for n in left], np.int32))
    for i, n in enumerate(left):
      room, predicted = limits[n] - len(found[n]), best[i].tolist()
      agreed = [_agreed(rest, best_tokens, min(room, block) - 1)
                for (rest, _), best_tokens in zip(rests[i], predicted, strict=True)]
      k = agreed.index(max(agreed))
      count, (rest, start) = agreed[k], rests[i][k]
      closing = count == room - 1
      scores[n] += log_prob[i, k, :count].sum() + (ending if closing else log_prob)[i, k, count]
      found[n] += [*predicted[k][:count], EOS if closing else predicted[k][count]]
      own[n], at[n] = [*predicted[k][count + 1:len(rest)], *rest[max(count + 1, block):]], start + count + 1
    left = [n for n in left if found[n][-1] != EOS]
  return list(zip(scores, found, strict=True))


def _rests(found, drafts, at, own, count):
  """Returns `count` continuations of the translation so far, and the positions of a draft at which they begin."""
  before, last = [PAD, BOS, *found][-2:]
  ends = [(MATCH * (one == last) * (1 + (two == before)) - abs(start - at), draft[start:], start)
          for draft in drafts
          for start, (two, one) in enumerate(zip([PAD, BOS, *draft], [BOS, *draft], strict=False))]
  ends.sort(key=lambda end: -end[0])
  chosen = [(own, at)]
  for _, rest, start in ends:
    if len(chosen) < count and all(rest != other for other, _ in chosen):
      chosen.append((rest, start))
  return chosen + [(own, at)] * (count - len(chosen))


def _agreed(rest, best, most):
  """Returns how many tokens of a continuation are the best ones, from the first on; at most `most`."""
  count = 0
  while count < min(len(rest), most) and rest[count] == best[count]:
    count += 1
  return count
