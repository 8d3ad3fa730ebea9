"""The greedy translation from drafts against plain greedy search, on a made-up model; needs no OpenVINO."""
import random

import numpy as np
import pytest

from tf_nar.export import ov_drafts

EOS, WORDS = ov_drafts.EOS, 500


def after(sentence, prefix):
  """Returns the best token after a prefix, and log p of it and of EOS: the same each time."""
  draw = random.Random(str((sentence, prefix)))
  token = EOS if draw.random() < 0.08 else draw.randrange(5, WORDS)
  return token, -draw.random(), -1 - draw.random()


def plain(sentence, limit):
  found, score = [], 0.0
  while len(found) < limit and (not found or found[-1] != EOS):
    token, log_prob, ending = after(sentence, found)
    closing = len(found) == limit - 1
    found, score = [*found, EOS if closing else token], score + (ending if closing else log_prob)
  return found, score


def checked(drafts, limits, block, positions):
  """Returns (log p, tokens) of each sentence, and the number of passes."""
  passes = []

  def best_after(which, tokens, first):
    passes.append(len(which))
    assert tokens.shape[:2] == (len(which), positions)
    each = [[[after(n, row[:start + k].tolist()) for k in range(block)] for row in rows]
            for n, rows, start in zip(which, tokens, first, strict=True)]
    return np.array(each)[..., 0].astype(int), np.array(each)[..., 1], np.array(each)[..., 2]

  found = ov_drafts.greedy(best_after, drafts, limits, block=block, positions=positions)
  return found, len(passes)


def spoilt(tokens, draw):
  """Returns a translation with some tokens changed, left out and put in."""
  found = []
  for token in tokens:
    found += [[token], [token], [token], [], [draw.randrange(5, WORDS)], [token, token]][draw.randrange(6)]
  return found


@pytest.mark.parametrize("block, positions", [(1, 1), (4, 1), (4, 3), (8, 2), (40, 2)])
def test_it_is_the_greedy_translation_whatever_the_drafts(block, positions):
  draw, limits = random.Random(block), [30, 7, 1, 15, 30, 0]
  wanted = [plain(n, limit) for n, limit in enumerate(limits)]
  drafts = [[spoilt(tokens[:-1], draw) for _ in range(n % 3)] for n, (tokens, _) in enumerate(wanted)]
  found, passes = checked(drafts, limits, block, positions)
  assert [tokens for _, tokens in found] == [tokens for tokens, _ in wanted]
  np.testing.assert_allclose([score for score, _ in found], [score for _, score in wanted])
  assert passes <= max(len(tokens) for tokens, _ in wanted)


@pytest.mark.parametrize("wrong", [*range(0, 30, 3), None])
def test_a_wrong_token_costs_one_more_pass(wrong):
  sentence = next(n for n in range(99) if 30 < len(plain(n, 40)[0]) < 40)
  tokens, _ = plain(sentence, 40)
  draft = [5 + (token == 5) if n == wrong else token for n, token in enumerate(tokens[:-1])]
  found, passes = checked([[draft]] * (sentence + 1), [0] * sentence + [40], 50, 2)
  assert found[sentence][1] == tokens and passes == (1 if wrong is None else 2)
