import numpy as np
import tensorflow as tf

from tf_nar.layers import transformer
from tf_nar.layers import transitions
from tf_nar.ops import dag

NET = transformer.Config(width=8, heads=2)
VERTICES = tf.constant([6, 3, 0])


def layer():
  made = transitions.Transitions(NET, 9, name="transitions")
  draw = np.random.default_rng(0)
  for variable in made.variables:
    variable.assign(draw.normal(size=variable.shape))
  return made


def states(rows=3, positions=7):
  return tf.random.stateless_normal([rows, positions, 8], [1, 2])


def by_hand(layer, x):
  """One row, all vertices real: log E in float64, heads one by one."""
  x = np.concatenate([x, layer.positions.numpy()[:len(x)]], -1).astype(np.float64)
  query, key, gate = (x @ part.kernel.numpy() + part.bias.numpy() for part in (layer.query, layer.key, layer.gate))
  gate = np.exp(gate) / np.exp(gate).sum(-1, keepdims=True)
  prob = np.zeros([len(x)] * 2)
  for head in range(2):
    cut = slice(4 * head, 4 * head + 4)
    scores = np.exp(query[:, cut] @ key[:, cut].T / 2.0) * np.triu(np.ones_like(prob), 1)
    prob += gate[:, head:head + 1] * scores / np.maximum(scores.sum(-1, keepdims=True), 1e-300)
  return prob


def test_heads_are_normalised_then_mixed():
  made = layer()
  links = made(states(1, 6), tf.constant([6]))
  np.testing.assert_allclose(np.exp(links[0]), by_hand(made, states(1, 6)[0].numpy()), rtol=1e-4, atol=1e-7)


def test_goes_forward_among_real_vertices_only():
  links = layer()(states(), VERTICES)
  at = np.arange(7)
  allowed = (at[:, None] < at) & (at < VERTICES.numpy()[:, None, None])
  np.testing.assert_array_equal(links > dag.IMPOSSIBLE, allowed)
  np.testing.assert_allclose(np.exp(links).sum(-1), allowed.any(-1), rtol=1e-5)


def test_padding_changes_nothing():
  made = layer()
  wide = made(tf.pad(states(), [[0, 0], [0, 2], [0, 0]]), VERTICES)
  np.testing.assert_allclose(wide[:, :7, :7], made(states(), VERTICES), rtol=1e-5)


def test_gradient_is_finite_and_compiles():
  made, x = layer(), states()

  def gradients(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      links = made(x, VERTICES)
      value = tf.reduce_sum(tf.where(links > dag.IMPOSSIBLE, links, 0.0))
    return tape.gradient(value, [x, *(v.value for v in made.variables)])

  eager = [tf.convert_to_tensor(g) for g in gradients(x)]
  assert all(np.isfinite(g).all() and np.any(g) for g in eager)
  for jit in (False, True):
    for mine, theirs in zip(tf.function(gradients, jit_compile=jit, autograph=False)(x), eager, strict=True):
      np.testing.assert_allclose(tf.convert_to_tensor(mine), theirs, rtol=1e-3, atol=1e-4)


def test_slope_at_one_weight():
  made, x = layer(), states()
  weights = tf.random.stateless_normal([3, 7, 7], [3, 4])

  def loss():
    links = made(x, VERTICES)
    return tf.reduce_sum(tf.where(links > dag.IMPOSSIBLE, weights * links, 0.0))

  for variable in (made.query.kernel, made.key.kernel, made.gate.kernel, made.positions):
    with tf.GradientTape() as tape:
      value = loss()
    gradient = tf.convert_to_tensor(tape.gradient(value, variable.value)).numpy()
    here, sides, direction = variable.numpy(), [], np.sign(gradient)
    for sign in (1e-3, -1e-3):
      variable.assign(here + sign * direction)
      sides.append(float(loss()))
    variable.assign(here)
    np.testing.assert_allclose((sides[0] - sides[1]) / 2e-3, np.sum(gradient * direction), rtol=0.02)
