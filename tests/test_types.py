import numpy as np
import tensorflow as tf

from tf_nar import types


def term(total, count, scale=1.0):
  return types.Term(tf.constant(total), tf.constant(count), scale)


def test_reserved_ids_are_in_the_order_of_their_names():
  assert [types.SPECIALS[i] for i in (types.PAD, types.EOS)] == ["<pad>", "<eos>"]
  assert [types.SPECIALS[i] for i in (types.UNK, types.BOS, types.MASK)] == ["<unk>", "<bos>", "<mask>"]


def test_loss_adds_scaled_means():
  assert float(types.loss({"token": term(6.0, 4.0), "length": term(3.0, 2.0, 0.1)})) == np.float32(1.5 + 0.15)


def test_a_term_of_nothing_is_zero():
  # A batch without tokens for a term must not give 0 / 0.
  assert float(types.loss({"token": term(0.0, 0.0), "length": term(1.0, 2.0)})) == 0.5


def test_terms_add_over_batches_as_over_one():
  batches = [term(6.0, 4.0), term(1.0, 2.0)]
  together = term(sum(t.total for t in batches), sum(t.count for t in batches))
  assert float(types.loss({"token": together})) == np.float32(7 / 6)
