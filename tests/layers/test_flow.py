"""Flows: inverses, determinants against automatic differentiation, densities that integrate to one."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar.layers import flow
from tf_nar.layers import flow_prior
from tf_nar.layers import transformer

NET = transformer.Config(width=12, ffn=16, heads=2, max_length=16)
CHANNELS = 12  # Three groups of four for a matrix.
LENGTHS = (8, 4, 0)  # The last row is padding.
PARTS = {
  "norm": lambda: flow.ActNorm(CHANNELS),
  "neighbours": lambda: flow.InvertibleLinear(CHANNELS, False),
  "strided": lambda: flow.InvertibleLinear(CHANNELS, True),
  **{f"{split}-{'up' if up else 'down'}": (lambda split=split, up=up: flow.AffineCoupling(CHANNELS, split, up, NET))
     for split in flow_prior.SPLITS for up in (True, False)},
  "halved": lambda: flow.Halved(flow.AffineCoupling(CHANNELS, "half", True, NET)),
}


def shaken(layer, scale=0.3):
  """Builds a layer and moves all its weights, so that none is zero."""
  if not layer.built:
    layer.build(None)
  return families.shaken(layer, scale)


def latents(lengths=LENGTHS, positions=8, channels=CHANNELS):
  """Returns random z, 0 at padding, and what it is conditioned on."""
  draw = np.random.default_rng(1)
  normal = lambda *shape: tf.constant(draw.normal(size=shape), tf.float32)
  rows, width = len(lengths), NET.width
  seen = tf.sequence_mask([5, 3, 4][:rows])[:, None]
  given = flow.Given(tf.sequence_mask(lengths, positions), normal(rows, 5, width), seen)
  return normal(rows, positions, channels) * given.real, given


def alone(given, row, length):
  """Returns what one row is conditioned on, without padding."""
  mask, source, source_mask = (each[row:row + 1] for each in given)
  seen = tf.math.count_nonzero(source_mask)
  return flow.Given(mask[:, :length], source[:, :seen], source_mask[..., :seen])


@pytest.fixture(scope="module")
def prior():
  """A flow of 25 couplings, initialised by `first`."""
  keras.utils.set_random_seed(0)
  made = shaken(flow_prior.FlowPrior(flow_prior.Config((1, 1), ffn=16), NET, CHANNELS), 0.1)
  made.initialise(*first())
  return made


def first():
  """Returns latents of mean 2 and standard deviation 3, and what they are conditioned on."""
  z, given = latents()
  return (3.0 * z + 2.0) * given.real, given


def test_a_matrix_maps_neighbours_or_channels_far_apart():
  z, given = latents()
  for name, channels in (("neighbours", [0, 1, 2, 3]), ("strided", [0, 3, 6, 9])):
    part = shaken(PARTS[name]())
    assert (part.group, part.channels) == (4, 12)
    moved = part.forward(z + tf.one_hot(channels[1], CHANNELS), given)[0] - part.forward(z, given)[0]
    assert np.flatnonzero(np.abs(moved[0, 0]) > 1e-4).tolist() == channels


@pytest.mark.parametrize("name", PARTS)
def test_inverse_undoes_forward(name):
  part = shaken(PARTS[name]())
  z, given = latents()
  e, _ = part.forward(z, given)
  assert float(tf.reduce_max(tf.abs(e - z))) > 0.1
  np.testing.assert_allclose(part.inverse(e, given), z, atol=1e-5)
  np.testing.assert_allclose(part.forward(part.inverse(z, given), given)[0], z, atol=1e-5)
  assert not np.any(e[1, 4:]) and not np.any(e[2])


@pytest.mark.slow  # 97 s on a busy machine.
def test_inverse_undoes_a_whole_flow_of_120_couplings():
  config = flow_prior.Config(ffn=16)
  assert flow_prior.couplings(config) == 120
  keras.utils.set_random_seed(0)
  whole = shaken(flow_prior.FlowPrior(config, NET, CHANNELS), 0.02)
  z, given = latents()
  whole.initialise(z, given)
  e, _ = whole.flow.forward(z, given)
  back = whole.flow.inverse(e, given)
  assert np.linalg.norm(back - z) < 1e-4 * np.linalg.norm(z)


def test_inverse_undoes_a_flow_of_two_levels(prior):
  z, given = latents()
  back = prior.sample(prior.flow.forward(z, given)[0], given)
  assert np.linalg.norm(back - z) < 1e-4 * np.linalg.norm(z)


@pytest.mark.parametrize("name", [*PARTS, "whole"])
def test_determinant_is_that_of_the_jacobian_of_the_sentence_without_padding(name, prior):
  part = prior.flow if name == "whole" else shaken(PARTS[name]())
  z, given = latents()
  _, log_det = part.forward(z, given)
  for row, length in enumerate(LENGTHS[:2]):
    count, own = length * CHANNELS, alone(given, row, length)
    # Row n of as many equal rows as there are latents gives the gradient of e_n.
    copies = tf.repeat(z[row:row + 1, :length], count, 0)
    with tf.GradientTape() as tape:
      tape.watch(copies)
      e, _ = part.forward(copies, own._replace(mask=tf.repeat(own.mask, count, 0)))
      each = tf.reduce_sum(tf.linalg.diag_part(tf.reshape(e, [count, count])))
    jacobian = tf.reshape(tape.gradient(each, copies), [count, count])
    np.testing.assert_allclose(log_det[row], np.linalg.slogdet(jacobian)[1], rtol=1e-4, atol=1e-4)
  assert float(log_det[2]) == 0.0


def test_padding_and_batch_mates_change_nothing(prior):
  z, given = latents()
  e, log_det = prior.flow.forward(z, given)
  for row, length in enumerate(LENGTHS[:2]):
    one, own = prior.flow.forward(z[row:row + 1, :length], alone(given, row, length))
    np.testing.assert_allclose(e[row, :length], one[0], atol=1e-5)
    np.testing.assert_allclose(log_det[row], own[0], rtol=1e-5)


def test_rows_of_a_sentence_share_its_source(prior):
  z, given = latents()
  shared = given._replace(mask=tf.repeat(given.mask, 2, 0))
  copied = flow.Given(*(tf.repeat(each, 2, 0) for each in given))
  noise = tf.random.stateless_normal([6, 8, CHANNELS], [0, 0])
  np.testing.assert_allclose(prior.sample(noise, shared), prior.sample(noise, copied), atol=1e-5)


def test_after_initialisation_results_of_norms_are_standard(prior):
  z, given = first()
  chain, places = prior.flow, given
  while isinstance(chain, flow.Chain):
    deeper = None
    for part in chain.parts:
      if isinstance(part, flow.Halved):
        z, places, deeper = tf.reshape(tf.split(z, 2, -1)[0], [3, -1, CHANNELS]), places.halved(), part.inside
        continue
      z, _ = part.forward(z, places)
      if isinstance(part, flow.ActNorm):
        real = z.numpy()[places.mask.numpy()]
        np.testing.assert_allclose(real.mean(0), 0.0, atol=1e-4)
        np.testing.assert_allclose(real.var(0), 1.0, atol=1e-3)
    chain = deeper


def test_determinant_of_a_matrix_and_its_gradient():
  matrix = tf.constant(np.random.default_rng(0).normal(size=[6, 6]), tf.float32)

  def both(of, matrix):
    with tf.GradientTape() as tape:
      tape.watch(matrix)
      value = of(matrix)
    return value, tape.gradient(value, matrix)

  want = both(lambda matrix: tf.linalg.slogdet(matrix)[1], matrix)
  compiled = tf.function(lambda matrix: both(flow.log_abs_det, matrix), jit_compile=True, autograph=False)
  for one, other in zip(compiled(matrix), want, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_couplings_begin_at_a_scale_of_sigmoid_two():
  coupling = flow.AffineCoupling(CHANNELS, "half", True, NET)
  coupling.build(None)
  z, given = latents()
  e, log_det = coupling.forward(z, given)
  scale, half = 1 / (1 + np.exp(-2.0)), CHANNELS // 2
  np.testing.assert_allclose(e, np.concatenate([z[..., :half], scale * z[..., half:]], -1), rtol=1e-6)
  np.testing.assert_allclose(log_det, np.log(scale) * half * np.array(LENGTHS), rtol=1e-5)


def test_a_density_integrates_to_one():
  # Two channels at one position. Pre-norm, since a block of one channel has nothing to say after its normalisation.
  net = transformer.Config(width=12, ffn=8, heads=1, norm="pre")
  keras.utils.set_random_seed(0)
  prior = shaken(flow_prior.FlowPrior(flow_prior.Config((1,), ("half",), ffn=8), net, 2), 0.2)
  points = np.linspace(-20, 20, 201)
  z = tf.constant(np.stack(np.meshgrid(points, points), -1).reshape(-1, 1, 2), tf.float32)
  _, given = latents((8,))
  given = given._replace(mask=tf.ones([len(z), 1], tf.bool))
  density = np.exp(prior.log_prob(z, given))
  assert density.max() < 2.0  # Smooth at this resolution.
  np.testing.assert_allclose(density.sum() * (points[1] - points[0]) ** 2, 1.0, atol=0.01)


def test_the_multi_scale_flow_by_hand():
  assert flow_prior.Config().unit == 4 and flow_prior.Config((2,)).unit == 1
  levels = flow_prior.plan(flow_prior.Config((1, 1)))
  assert [sum(kind == "coupling" for kind, *_ in level) for level in levels] == [2 + 12 + 1, 2 + 8]
  assert flow_prior.couplings(flow_prior.Config((1,), ("half",))) == 6


@pytest.mark.parametrize("changes, message", [
  (dict(levels=()), r"flow.levels must hold the steps of each level, .* of at least 1, as \(4, 4, 2\); got \(\)"),
  (dict(levels=(2, 0)), r"got \(2, 0\)"),
  (dict(levels=(1.5, 1)), r"got \(1.5, 1\)"),
  (dict(levels=("a",)), r"got \('a',\)"),
  (dict(levels=((1,),)), r"got \(\(1,\),\)"),
  (dict(splits=("thirds",)), "each of flow.splits is one of half, alternate, time; got 'thirds'"),
  (dict(ffn=0), "flow.ffn is at least 1"),
])
def test_settings_that_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    flow_prior.Config(**changes)
