"""Source tokens in the place of UNK."""
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.export import tiny
from tf_nar import types
from tf_nar.evaluate import corpus
from tf_nar.evaluate import unknown

A = 7


@pytest.mark.parametrize("weights, expected", [
  ([[0.1, 0.7, 0.2], [0.9, 0.1, 0.0], [0.0, 0.0, 0.0]], ["☃", A, types.EOS]),
  ([[0.3, 0.2, 0.5], [0.9, 0.1, 0.0], [0.0, 0.0, 0.0]], ["x", A, types.EOS]),  # Never from the source's EOS.
  ([[0.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 0.0, 0.0]], [types.UNK, A, types.EOS]),  # Aligned with nothing.
  (None, [types.UNK, A, types.EOS]),
])
def test_the_aligned_token_is_copied(weights, expected):
  weights = None if weights is None else np.array(weights)
  assert unknown.copied([types.UNK, A, types.EOS], ["x", "☃"], weights) == expected


def test_an_empty_source_has_nothing_to_copy():
  assert unknown.copied([types.UNK], [], np.zeros([1, 1])) == [types.UNK]


def run_of(vocab, offers=("align",)):
  """A run in which the first target token comes from the first source token, and so on."""
  align = lambda src, tgt: tf.tile(tf.eye(tf.shape(tgt)[1], tf.shape(src)[1])[None], [tf.shape(src)[0], 1, 1])
  model = SimpleNamespace(align=align, traits=SimpleNamespace(offers=offers))
  experiment = SimpleNamespace(family="ar", model=SimpleNamespace(net=SimpleNamespace(max_length=9)))
  return SimpleNamespace(workdir="runs/x", vocab=vocab, model=model, experiment=experiment)


@pytest.mark.parametrize("kind, text, expected", [
  ("words", "the ☃ house", "the ☃ house"),
  ("bpe", "the ☃x house", "the ☃x house"),
  ("sentencepiece", "the ☃東 house", "the ☃東 house"),
])
def test_each_vocabulary_spells_what_is_copied(kind, text, expected):
  vocab = tiny.VOCABULARIES[kind]()
  ids = [*vocab.encode(text), types.EOS]
  assert types.UNK in ids
  found = [corpus.Candidate(ids, -1.0), corpus.Candidate([A, types.EOS], -2.0)]
  copied = unknown.Copier(run_of(vocab), tokens_per_batch=64)([(text, ids, found), ("", [types.EOS], [corpus.NOTHING])])
  assert [vocab.decode(each.tokens) for each in copied[0]] == [expected, vocab.decode([A])]
  assert copied[0][1] == found[1] and copied[1] == [corpus.NOTHING]
  assert " ".join(vocab.spell(copied[0][0].tokens)).count("☃") == 1


def test_a_family_without_alignment_is_refused():
  with pytest.raises(ValueError, match="runs/x is of family ar, which has no alignment of tokens"):
    unknown.Copier(run_of(None, offers=()), 64)
