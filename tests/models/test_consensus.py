"""Candidates ranked by consensus, against an enumeration of all sentences of nonzero probability."""
import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.decode import test_consensus as by_hand
from tf_nar import types
from tf_nar.decode import consensus
from tf_nar.models import ctc
from tf_nar.models import dag

SPOKEN = 5, 6, 7
SRC = tf.constant([[types.EOS]])  # Four positions or vertices: at most four tokens, or two.
SEARCHES = [("ctc", ctc.Search(beam=64, candidates=9, rank="consensus"), 4),
            ("dag", dag.Search("joint", candidates=3, rank="consensus", collapse=False), 2)]


def says_three_words(name):
  model = families.build(name)
  bias = model.net.embed.bias
  unsaid = [w for w in range(len(families.VOCAB)) if w not in SPOKEN and (name, w) != ("ctc", types.MASK)]
  bias.assign(tf.tensor_scatter_nd_update(bias.value, [[w] for w in unsaid], [-1e4] * len(unsaid)))
  return model


@pytest.mark.parametrize("name, search, longest", SEARCHES)
def test_ranks_by_agreement_with_all_sentences(name, search, longest):
  model = says_three_words(name)
  every = [tokens for n in range(longest + 1) for tokens in itertools.product(SPOKEN, repeat=n)]
  tgt = [[*tokens, types.EOS, *[types.PAD] * (longest - len(tokens))] for tokens in every]
  chance = np.exp(model.score(tf.repeat(SRC, len(every), 0), tf.constant(tgt)))
  np.testing.assert_allclose(chance.sum(), 1.0, rtol=1e-4)
  found = model.translate(SRC, search)
  plain = model.translate(SRC, dataclasses.replace(search, rank=type(search)().rank))
  said = [[tuple(tokens[tokens > types.EOS]) for tokens in each.tokens[0].numpy()] for each in (found, plain)]
  assert sorted(said[0]) == sorted(said[1]) and said[0] != said[1] and (found.passes, plain.passes) == (1, 1)
  texts = [(float(p), tokens) for p, tokens in zip(chance, every, strict=True)]
  candidates, sentences = [list(tokens) for tokens in said[0]], [(p, list(tokens)) for p, tokens in texts]
  expected = by_hand.expected(candidates, sentences, longest + 1)
  tokens = tf.constant([[*tokens, types.EOS, *[types.PAD] * (longest - len(tokens))] for tokens in said[0]])
  wanted = consensus.scores(tokens[None], expected).numpy()
  np.testing.assert_allclose(found.score, wanted, rtol=1e-3)
  np.testing.assert_array_equal(found.score, -np.sort(-found.score, 1))
