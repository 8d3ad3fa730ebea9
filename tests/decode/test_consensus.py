"""Consensus against sacreBLEU, against a reference, and on cases with a known answer."""
import numpy as np
import pytest
import sacrebleu
import tensorflow as tf

from tests.conformance import families
from tf_nar.decode import consensus

HYPOTHESES = [[5, 6, 7, 8, 9], [5, 6, 7, 8, 5, 6, 7, 8], [9, 5, 6, 7, 8], [5, 6, 7, 8], [6, 7], [5, 5, 6], [8], []]
REFERENCE = [5, 6, 7, 8, 9, 6, 7]


def grams(tokens, order):
  return [tuple(tokens[at:at + order]) for at in range(len(tokens) - order + 1)]


def expected(candidates, texts, width):
  """Counts of the candidates' n-grams in weighted texts [(weight, words)], by a simple reference."""
  counts = np.zeros((consensus.ORDER, 1, len(candidates), width), np.float32)
  for order in range(consensus.ORDER):
    for n, tokens in enumerate(candidates):
      for at, gram in enumerate(grams(tokens, order + 1)):
        counts[order, 0, n, at] = sum(weight * grams(text, order + 1).count(gram) for weight, text in texts)
  length = sum(weight * len(text) for weight, text in texts)
  return consensus.Expected(tf.constant(counts), tf.constant([length], tf.float32))


def tokens(candidates, width):
  return families.padded(candidates, width)[None]


def test_of_one_sure_sentence_it_is_bleu():
  found = consensus.scores(tokens(HYPOTHESES, 10), expected(HYPOTHESES, [(1.0, REFERENCE)], 10)).numpy()[0]
  metric = sacrebleu.BLEU(tokenize="none", smooth_method="none", effective_order=True)
  text = lambda ids: " ".join(map(str, ids))
  for score, ids in zip(found[:-2], HYPOTHESES[:-2], strict=True):
    bleu = metric.sentence_score(text(ids), [text(REFERENCE)]).score
    if bleu:  # An order without a match makes BLEU 0 there, and very small here.
      np.testing.assert_allclose(np.exp(score), bleu / 100, rtol=1e-4)
    else:
      assert np.exp(score) < 0.01
  assert found[-1] == -np.inf  # A missing candidate.


def test_agreement_goes_before_what_is_likeliest():
  """At every position half of the probability disagrees with the best of four; another has more in common with all."""
  said = [[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16], [11, 12, 13, 14, 15, 17], [11, 12, 13, 14, 18, 16]]
  weights = [0.3, 0.25, 0.23, 0.22]
  found = consensus.scores(tokens(said, 8), expected(said, list(zip(weights, said, strict=True)), 8))
  assert int(tf.argmax(found[0])) == 1 and int(tf.argmin(found[0])) == 0


def test_the_expected_length_says_how_long():
  """A shorter candidate gets a brevity penalty; a longer one has n-grams that are not expected."""
  said = [[5, 6, 7, 8, 9, 10][:length] for length in (3, 4, 5, 6)]
  texts = [(0.1, said[0]), (0.1, said[1]), (0.7, said[2]), (0.1, said[3])]
  assert int(tf.argmax(consensus.scores(tokens(said, 8), expected(said, texts, 8))[0])) == 2


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_gives_the_same_and_padding_changes_nothing(jit):
  texts = [(0.5, REFERENCE), (0.5, HYPOTHESES[0])]
  want = consensus.scores(tokens(HYPOTHESES, 10), expected(HYPOTHESES, texts, 10))
  compiled = tf.function(consensus.scores, jit_compile=jit, autograph=False)
  np.testing.assert_allclose(
    compiled(tokens(HYPOTHESES, 13), expected(HYPOTHESES, texts, 13)), want, rtol=1e-5)


def test_sentences_may_be_shorter_than_the_longest_n_grams():
  few = [[5, 6], [7]]
  want = consensus.scores(tokens(few, 6), expected(few, [(1.0, few[0])], 6))
  np.testing.assert_array_equal(consensus.scores(tokens(few, 3), expected(few, [(1.0, few[0])], 3)), want)
