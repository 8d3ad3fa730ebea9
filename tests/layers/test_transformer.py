import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.layers import embedding
from tf_nar.layers import transformer
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib

NET = transformer.Config(vocab=9, width=8, ffn=12, heads=2, max_length=6)
CLOSE = dict(rtol=1e-4, atol=1e-5)


def normal(*shape, seed=0):
  return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def decoder(**changes):
  keras.utils.set_random_seed(0)
  return transformer.Stack(dataclasses.replace(NET, **changes), 2, cross=True)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_place_by_place_equals_all_at_once(norm):
  stack, x, memory = decoder(norm=norm), normal(2, 5, 8), normal(2, 4, 8, seed=1)
  seen = tf.sequence_mask([4, 2])[:, None]
  whole = stack(x, masking.causal(5), memory, seen)
  cache, projected = stack.start_cache(2, 5), stack.project(memory)
  for at in range(5):
    y, cache = stack.step(x[:, at:at + 1], at, cache, projected, seen)
    np.testing.assert_allclose(y[:, 0], whole[:, at], **CLOSE)


def test_rows_of_one_sentence_share_its_memory():
  stack, x, memory = decoder(), normal(6, 3, 8), normal(2, 4, 8, seed=1)
  seen = tf.sequence_mask([4, 2])[:, None]
  together = stack(x, masking.causal(3), memory, seen)
  apart = stack(x, masking.causal(3), tf.repeat(memory, 3, 0), tf.repeat(seen, 3, 0))
  np.testing.assert_allclose(together, apart, **CLOSE)


def test_norm_stands_where_the_layout_says():
  x, memory, seen = normal(2, 5, 8), normal(2, 4, 8, seed=1), tf.ones([2, 1, 4], tf.bool)
  mean = lambda **net: tf.reduce_mean(decoder(**net)(10.0 * x, masking.causal(5), memory, seen), -1)
  np.testing.assert_allclose(mean(norm="post"), np.zeros([2, 5]), atol=1e-5)
  np.testing.assert_allclose(mean(norm="pre"), np.zeros([2, 5]), atol=1e-5)
  # Norms inside the branches remove the scale of x, so each branch adds the same to a large x, whatever its scale.
  pre = decoder(norm="pre")
  rows = tf.reshape(x, [-1, 8])
  run = lambda x: pre.blocks[0](x, tf.zeros([1, 1, 5, 5]), pre.project(memory)[0], tf.zeros([1]), sentences=2)[0] - x
  np.testing.assert_allclose(run(1e3 * rows), run(2e3 * rows), atol=0.02)
  assert np.abs(run(1e3 * rows)).max() > 0.5


def test_dropout_comes_only_from_the_noise_given():
  stack, x, memory, seen = decoder(), normal(2, 5, 8), normal(2, 4, 8, seed=1), tf.ones([2, 1, 4], tf.bool)
  run = lambda seed: stack(x, masking.causal(5), memory, seen, dropout=noise_lib.Dropout(seed)).numpy()
  np.testing.assert_array_equal(run([1, 2]), run([1, 2]))
  assert not np.allclose(run([1, 2]), run([1, 3])) and not np.allclose(run([1, 2]), run(None))


def test_embeddings_are_scaled_by_the_root_of_the_width():
  embed = embedding.Embedding(NET)
  np.testing.assert_allclose(embed.look_up([[3]])[0, 0], embed.table[3] * 8**0.5, rtol=1e-6)
  np.testing.assert_allclose(embed.positions(2), embed.position_table[:2] * 8**0.5, rtol=1e-6)
  assert embed.position_table.shape[0] == NET.max_length + 1  # A [LEN] slot may come before the longest sentence.


def test_output_layer_is_the_table():
  embed, states = embedding.Embedding(NET), normal(2, 3, 8)
  embed.bias.assign(normal(9, seed=1))
  expected = states.numpy() @ embed.table.numpy().T + embed.bias.numpy()
  np.testing.assert_allclose(embed.logits(states), expected, **CLOSE)


def test_sine_places_are_no_weights():
  embed = embedding.Embedding(dataclasses.replace(NET, positions="sine"))
  assert {v.path.split("/")[-1] for v in embed.variables} == {"embeddings", "output_bias"}
  positions = embed.positions(6).numpy()
  assert positions.shape == (6, 8) and len(np.unique(positions.round(4), axis=0)) == 6
  np.testing.assert_allclose((positions**2).sum(-1), np.full(6, 4.0), rtol=1e-5)  # Four sines and cosines.


@pytest.mark.parametrize("change, message", [
  (dict(norm="middle"), "net.norm is one of post, pre; got 'middle'"),
  (dict(positions="rotary"), "net.positions is one of learned, sine; got 'rotary'"),
  (dict(shards=3), r"net.shards must divide net.heads \(2\) and net.ffn \(12\); got 3"),
  (dict(heads=0), "net.heads is at least 1; got 0"),
  (dict(decoder_layers=-1), "net.decoder_layers is at least 0; got -1"),
  (dict(dropout=1.0), "net.dropout must be at least 0 and below 1; got 1.0"),
  (dict(dtype="float16"), "net.dtype is one of float32, mixed_bfloat16, bfloat16; got 'float16'"),
])
def test_config_refuses(change, message):
  with pytest.raises(ValueError, match=message):
    dataclasses.replace(NET, **change)
