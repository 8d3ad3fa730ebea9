import itertools

import pytest
import tensorflow as tf

from tests.train import bigram
from tf_nar import config
from tf_nar import models
from tf_nar import types
from tf_nar.layers import transformer
from tf_nar.losses import cross_entropy
from tf_nar.models import ar
from tf_nar.models import ctc
from tf_nar.train import flops
from tf_nar.train import speed

NET = transformer.Config(vocab=45, width=4, ffn=8, heads=2, encoder_layers=1, decoder_layers=1)
TRAIN = config.Train(optimizer=config.Optimizer(warmup=2))


def batch(rows, length, blank=0):
  tokens = tf.concat([tf.fill([rows, length - blank], 7), tf.zeros([rows, blank], tf.int32)], 1)
  return types.Batch(tokens, tokens, tf.ones([rows]))


@pytest.fixture(autouse=True)
def _short(monkeypatch):
  monkeypatch.setattr(speed, "LEAST", 0.0)


def test_a_turn_counts_what_it_draws():
  batches = itertools.cycle([batch(2, 4, blank=1), batch(3, 2)])
  turn = speed.Training(bigram.Bigram(), TRAIN, batches).turn(3)
  assert [tuple(each.tgt.shape) for each in turn.batches] == [(2, 4), (3, 2), (2, 4)]
  assert (turn.tokens, turn.positions) == (6 + 6 + 6, 8 + 6 + 8)
  assert 0 <= turn.waited <= turn.seconds and turn.stepped == turn.seconds - turn.waited


def test_micro_batches_are_one_update():
  train = config.Train(optimizer=config.Optimizer(accumulate=2))
  training = speed.Training(bigram.Bigram(), train, itertools.repeat(batch(2, 4)))
  assert len(training.turn(3).batches) == 6


def test_time_without_a_batch_is_waiting(monkeypatch):
  now = [0.0]
  monkeypatch.setattr(speed.time, "perf_counter", lambda: now[0])

  def slow():
    while True:
      now[0] += 3.0
      yield batch(2, 4)

  training = speed.Training(bigram.Bigram(), TRAIN, slow())
  training._update = lambda *_: now.__setitem__(0, now[0] + 1.0)
  turn = training.turn(2)
  assert (turn.seconds, turn.waited, turn.stepped) == (8.0, 6.0, 2.0)


def test_warm_up_sees_every_shape():
  drawn = []

  def stream():
    for rows in itertools.chain([1, 1, 2, 1, 3], itertools.repeat(1)):
      drawn.append(rows)
      yield batch(rows, 4)

  speed.Training(bigram.Bigram(), TRAIN, stream()).warm_up(2)
  assert drawn == [1, 1, 2, 1, 3, 1, 1]


def test_a_made_up_batch_has_no_padding():
  made = next(speed.made_up(6, 9, 12))
  for tokens in (made.src, made.tgt):
    assert tokens.shape == (6, 9) and set(tokens[:, -1].numpy()) == {types.EOS}
    words = tokens[:, :-1].numpy()
    assert words.min() >= len(types.SPECIALS) and words.max() < 12 and len(set(words.ravel())) > 3
  assert not (made.src == made.tgt).numpy().all()


def test_products_have_the_models_shapes():
  named = speed.ceilings(NET, 3_000)
  assert list(named) == [
    "bfloat16 ffn 3000 x 4 x 8", "bfloat16 output 512 x 4 x 45", "float32 ffn 3000 x 4 x 8",
    "float32 output 512 x 4 x 45"]
  fn, operations = named["bfloat16 output 512 x 4 x 45"]
  assert operations == 2 * 512 * 4 * 45
  assert fn().shape == (512, 45) and fn().dtype == tf.bfloat16


def test_output_softmax_is_that_of_the_models():
  d_states, d_table, d_bias = speed.output_softmax(NET, 0.1, 2 * cross_entropy.ROWS)()
  assert (d_states.shape, d_table.shape, d_bias.shape) == ((2 * cross_entropy.ROWS, 4), (45, 4), (45,))
  assert float(tf.reduce_max(tf.abs(d_table))) > 0


class Baseline:
  def turn(self, batches):
    self.inputs = batches
    return 5.0


def bench(experiment, baseline=None, decode=None):
  training = speed.Training(bigram.Bigram(), TRAIN, itertools.repeat(batch(2, 4, blank=1)))
  training.traits = models.traits(experiment.family)
  return speed.Bench(training, experiment, 8, baseline=baseline, decode=decode)


def test_a_round_compares(monkeypatch):
  baseline = Baseline()
  experiment = config.Experiment("ar", ar.Config(NET), ar.Search(), TRAIN)
  measured = bench(experiment, baseline, decode=lambda ids: "two words")
  turn = speed.Turn(10.0, 6.0, [batch(2, 4, blank=1)] * 2)
  measured._training.turn = lambda updates: turn
  monkeypatch.setattr(speed, "seconds", lambda fn: 0.5)
  found = measured.round(2)
  assert baseline.inputs is turn.batches
  assert found["target tokens/s"] == 12 / 10 and found["target words/s"] == 8 / 10
  assert (found["share of input"], found["share of step"], found["padding"]) == (0.6, 0.4, 0.25)
  assert found["share of output softmax"] == 0.5 * 2 / 10  # Two batches of the 8 positions that were timed.
  assert found["times the baseline's speed"] == 5 / 4 and found["baseline tokens/s"] == 12 / 5
  best = max(2 * 8 * 4 * 8, 2 * 8 * 4 * 45) / 0.5
  operations = 2 * flops.update(ar.TRAITS, ar.Config(NET), 2, 4, 4)
  assert found["GFLOP/s, model"] == pytest.approx(operations / 10 / 1e9)
  assert found["model flop utilisation"] == pytest.approx(operations / 10 / best)


def test_another_training_is_measured_in_turns():
  experiment = config.Experiment("ar", ar.Config(NET), ar.Search(), TRAIN)
  deep = config.Experiment("ctc", ctc.Config(NET, upsample=3), ctc.Search(), TRAIN)
  other = speed.Training(bigram.Bigram(), TRAIN, itertools.repeat(batch(2, 4)))
  other.traits = models.traits("ctc")
  measured = bench(experiment)
  measured._beside = {"deep": (other, deep)}
  measured._training.turn = lambda updates: speed.Turn(10.0, 0.0, [batch(2, 4, blank=1)])
  other.turn = lambda updates: speed.Turn(4.0, 0.0, [batch(2, 4)])
  found = measured.round(1)
  assert found["deep: target tokens/s"] == 2 and found["deep: times its speed"] == pytest.approx(0.6 / 2)
  ours, theirs = (flops.update(models.traits(each.family), each.model, 2, 4, 4) for each in (experiment, deep))
  assert found["deep: times its operations"] == pytest.approx((ours / 6) / (theirs / 8))


def test_places_of_a_canvas_are_read(monkeypatch):
  experiment = config.Experiment("ctc", ctc.Config(NET, upsample=3), ctc.Search(), TRAIN)
  measured = bench(experiment)
  monkeypatch.setattr(speed, "seconds", lambda fn: 0.5)
  measured._training.turn = lambda updates: speed.Turn(10.0, 6.0, [batch(2, 4, blank=1)])
  assert measured.round(1)["share of output softmax"] == 0.5 * 3 / 10


def test_spreads_are_of_rounds():
  assert speed.spreads([{"a": 3.0}, {"a": 1.0}, {"a": 2.5}]) == {"a": {"min": 1.0, "median": 2.5, "max": 3.0}}


def test_peak_memory_is_in_gib():
  assert 0.05 < speed.peak_memory() < 500
