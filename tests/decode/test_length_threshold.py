"""Improbable lengths are not decoded and not scored; what is decoded is translated as before."""
import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import types
from tf_nar.data import shortlist
from tf_nar.decode import length_parallel
from tf_nar.evaluate import rescoring
from tf_nar.evaluate import shortlisting

SRC = families.padded([*families.sentences(4, 6), []], 7)
LOGITS = tf.math.log(tf.constant([[0.01, 0.01, 0.1, 0.5, 0.3, 0.08], [0.01, 0.01, 0.2, 0.21, 0.19, 0.38]]))
ALL = 1e-30  # A threshold that every length passes.
FEW = shortlist.Shortlist(
  np.array([[5 + n % 7] for n in range(len(families.VOCAB))], np.int32), np.arange(12, dtype=np.int32), None)


def test_lengths_below_the_share_of_the_likeliest_are_left_out():
  lengths = tf.constant([[2, 3, 4, 5], [2, 3, 4, 4]])
  assert length_parallel.probable(lengths, LOGITS, 0.0) is lengths
  assert length_parallel.probable(lengths, LOGITS, 0.5).numpy().tolist() == [[0, 3, 4, 0], [2, 3, 4, 4]]
  assert length_parallel.probable(lengths, LOGITS, 1.0).numpy().tolist() == [[0, 3, 0, 0], [0, 3, 0, 0]]


def test_only_a_graph_of_one_shape_decodes_all():
  lengths, src = tf.constant([[3, 0], [0, 4]]), tf.ones([2, 3], tf.int32)
  assert length_parallel.decoded(lengths, src, 0.5).numpy().tolist() == [0, 3]
  assert length_parallel.decoded(0 * lengths, 0 * src, 0.5).numpy().tolist() == [0]  # A decoder takes no empty batch.
  assert length_parallel.decoded(lengths, src, 0.0) is None
  shown = []
  tf.function(lambda src: shown.append(length_parallel.decoded(lengths, src, 0.5)))(src)
  assert shown == [None]


def test_the_decoder_and_the_teacher_get_the_rest():
  asked, scored = [], []

  def fill(lengths):
    asked.append(lengths.numpy().tolist())
    return tf.where(tf.range(4) < lengths[:, None], 5, types.PAD), -tf.cast(lengths, tf.float32)

  def teacher(tokens, rows=None):
    scored.append(rows.numpy().tolist())
    return length_parallel.scored_rows(
      lambda src, tgt: -tf.cast(src[:, 0] + tf.math.count_nonzero(tgt, 1, dtype=tf.int32), tf.float32),
      tf.constant([[1], [2]]), tokens, rows)

  lengths, rows = tf.constant([[2, 0, 3], [0, 4, 0]]), tf.constant([0, 2, 4])
  alone = length_parallel.length_parallel(fill, lengths, alpha=0.0, rows=rows)
  assert asked == [[2, 3, 4]] and alone.score.numpy().tolist() == [[-2, -3, -np.inf], [-4, -np.inf, -np.inf]]
  assert not alone.tokens.numpy()[[0, 1, 1], [2, 1, 2]].any()
  ranked = length_parallel.length_parallel(fill, lengths, teacher, alpha=0.0, rows=rows)
  assert scored == [[0, 2, 4]] and ranked.score.numpy().tolist() == [[-4, -5, -np.inf], [-7, -np.inf, -np.inf]]


@pytest.fixture(scope="module")
def teacher():
  return rescoring.of_candidates(families.build("ar"))


@pytest.mark.parametrize("name, ranked, short", [
  ("nat_em", True, True), ("cmlm", False, False), pytest.param("nat_em", False, False, marks=pytest.mark.slow),
  pytest.param("cmlm", True, True, marks=pytest.mark.slow)])
def test_what_is_decoded_is_translated_as_before(name, ranked, short, teacher):
  model = families.build(name, seed=3)
  model = shortlisting.Shortlisted(model, FEW) if short else model
  search = families.TINY[name].search

  def translate(threshold, spec, src=SRC):
    def work(src):
      return model.translate(src, dataclasses.replace(search, length_threshold=threshold),
                             functools.partial(teacher, src) if ranked else None)
    return tf.function(work, input_signature=[tf.TensorSpec(spec, tf.int32)])(src)

  dynamic = [None, None]
  whole, every = translate(0.0, dynamic), translate(ALL, dynamic)
  np.testing.assert_array_equal(every.tokens, whole.tokens)
  np.testing.assert_allclose(every.score, whole.score, rtol=1e-5)
  few, static = translate(0.9, dynamic), translate(0.9, SRC.shape)
  kept = few.score.numpy() > -np.inf
  assert 4 <= kept.sum() < 12 and kept[:4, 0].all() and not few.tokens.numpy()[~kept].any()
  width = few.tokens.shape[2]
  np.testing.assert_array_equal(few.tokens, static.tokens[..., :width])
  np.testing.assert_allclose(few.score, static.score, rtol=1e-5)
  assert not translate(0.9, dynamic, tf.zeros_like(SRC)).tokens.numpy().any()
  for row, own in enumerate(whole.tokens.numpy()):  # Each is among the candidates without a threshold.
    assert {tuple(each) for each in few.tokens.numpy()[row, kept[row]]} <= {tuple(each[:width]) for each in own}


def test_all_teachers_score_some_rows_alike():
  tgt = tf.reshape(families.padded(families.sentences(10, 5), 6), [5, 2, 6])
  rows = tf.constant([0, 3, 4])
  for name in ("ar", "janus", "nat_em"):
    score = rescoring.of_candidates(families.build(name))
    some, whole = (tf.reshape(x, [-1]) for x in (score(SRC, tgt, rows=rows), score(SRC, tgt)))
    np.testing.assert_allclose(tf.gather(some, rows), tf.gather(whole, rows), rtol=1e-5)
    assert np.count_nonzero(some) == 3


@pytest.mark.parametrize("name", ["nat_em", "cmlm"])
@pytest.mark.parametrize("threshold", [-0.1, 1.1])
def test_a_threshold_is_a_share(name, threshold):
  with pytest.raises(ValueError, match="search.length_threshold is a share of the likeliest length's probability, "
                                       f"from 0, which decodes all candidates, to 1; got {threshold}"):
    dataclasses.replace(families.TINY[name].search, length_threshold=threshold)
