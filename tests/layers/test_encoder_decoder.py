import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.losses import cross_entropy


def net():
  keras.utils.set_random_seed(0)
  config = transformer.Config(
    vocab=9, width=8, ffn=12, heads=2, max_length=6, encoder_layers=1, decoder_layers=1)
  return encoder_decoder.EncoderDecoder(config, decoder_layers=1, length="absolute")


def test_likeliest_is_the_argmax_of_all_logits():
  one = net()
  for rows in (0, 3, cross_entropy.ROWS // 4, cross_entropy.ROWS // 4 + 1):
    states = tf.random.stateless_normal([rows, 4, 8], [1, 2])
    found = tf.function(one.likeliest, autograph=False)(states)
    assert found.dtype == tf.int32 and found.shape == [rows, 4]
    np.testing.assert_array_equal(found, tf.argmax(one.embed.logits(states), -1))


def test_a_blank_canvas_is_one_token_everywhere():
  one = net()
  for token in (types.PAD, types.MASK):
    np.testing.assert_array_equal(one.mask_canvas(2, 5, token), one.canvas(tf.fill([2, 5], token)))
  np.testing.assert_array_equal(one.mask_canvas(2, 5), one.mask_canvas(2, 5, types.PAD))


def test_a_length_head_has_a_name():
  with pytest.raises(ValueError, match="length is one of absolute, offset, none; got True"):
    encoder_decoder.EncoderDecoder(net().config, decoder_layers=1, length=True)
