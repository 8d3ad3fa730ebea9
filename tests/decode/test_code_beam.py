"""A beam over codes in planted tables of probabilities, against all sequences."""
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_nar.decode import code_beam

CODES, LENGTHS = 4, [3, 1, 0, 2]
TABLE = tf.constant(np.random.default_rng(0).normal(size=(4, 3, CODES, CODES)), tf.float32)  # [B, t, previous, V]


def step_of(beam, seen=None):
  """The logits depend on sentence, position and the previous code; the state adds up the codes of a hypothesis."""
  def step(codes, t, total):
    if seen is not None:
      seen.append(codes.numpy().tolist())
    rows = tf.repeat(TABLE, beam, 0)[:, tf.minimum(t, 2)]
    logits = tf.gather(rows, tf.where(t > 0, codes, 0), batch_dims=1)
    total += codes
    return logits + 0.1 * tf.cast(total, tf.float32)[:, None] * tf.range(CODES, dtype=tf.float32), total
  return step


def found(beam, lengths=LENGTHS, **options):
  state = tf.zeros([len(lengths) * beam], tf.int32)
  return code_beam.search(step_of(beam, **options), state, tf.constant(lengths), beam=beam, steps=3)


def log_p(row, codes):
  total, past, last = 0.0, 0, 0
  for t, code in enumerate(codes):
    past += last
    logits = TABLE[row, t, last].numpy() + 0.1 * past * np.arange(CODES)
    total += logits[code] - np.log(np.exp(logits).sum())
    last = code
  return total


def test_a_wide_beam_finds_the_best_of_all_sequences():
  beam = CODES**2
  result = found(beam)
  for row, length in enumerate(LENGTHS):
    every = sorted(((log_p(row, c), c) for c in itertools.product(range(CODES), repeat=length)), reverse=True)
    kept = min(beam, len(every))
    np.testing.assert_allclose(result.score[row, :kept], [p for p, _ in every[:kept]], rtol=1e-4, atol=1e-5)
    assert result.codes[row, :3, :length].numpy().tolist()[:kept] == [list(c) for _, c in every[:min(3, kept)]]
    assert np.isneginf(result.score[row, kept:]).all() and not np.any(result.codes[row, :, length:])
  assert int(result.passes) == 3


def test_a_beam_of_one_is_greedy():
  result = found(1)
  for row, length in enumerate(LENGTHS):
    codes = []
    for _ in range(length):
      codes.append(max(range(CODES), key=lambda c: log_p(row, [*codes, c])))
    assert result.codes[row, 0, :length].numpy().tolist() == codes
    np.testing.assert_allclose(result.score[row, 0], log_p(row, codes), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_equals_eager(jit):
  eager = found(3)
  for one, other in zip(tf.function(lambda: found(3), jit_compile=jit, autograph=False)(), eager, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-5)


def test_the_loop_ends_with_the_longest_sentence():
  seen = []
  assert int(found(2, [1, 2, 1, 0], seen=seen).passes) == 2
  assert len(seen) == 2 and seen[0] == [0] * 8


def test_refuses_no_beam():
  with pytest.raises(ValueError, match="search needs beam >= 1, got 0; 1 is greedy search"):
    found(0)
