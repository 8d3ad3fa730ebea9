"""Choosing a strategy; k replicas and several processes give the results of one."""
import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.train import bigram
from tests.train import test_step
from tests.train.test_step import make
from tests.train.test_step import updates
from tf_nar import types
from tf_nar.train import step as step_lib
from tf_nar.train import strategy

ALONE = tf.distribute.get_strategy()
WORKER = "tests.train.worker"
ROOT = pathlib.Path(__file__).parents[2]
CLOSE = dict(rtol=1e-5, atol=1e-6)


def trained(position, accumulate=1, steps=3, **train):
  """Trains a model under a strategy on batches of 8 rows or, in `accumulate` micro-batches, on their parts."""
  with position.scope():
    model = bigram.Bigram(tokens=20)
    update = updates(model, accumulate, **train)
    whole = [make(8, 6, 10 * step) for step in range(steps)]
    said = [update([step_lib.share(batch, accumulate, i) for i in range(accumulate)], step)
            for step, batch in enumerate(whole)]
  return model, said


def assert_same(one, other):
  (model, said), (expected_model, expected) = one, other
  for mine, theirs in zip(said, expected, strict=True):
    for name, value in theirs.items():
      np.testing.assert_allclose(mine[name], value, err_msg=name, **CLOSE)
  for mine, theirs in zip(model.variables, expected_model.variables, strict=True):
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), err_msg=mine.path, **CLOSE)


def test_replicas_are_micro_batches_with_their_noise(two):
  # Gradients are clipped; those of the parts have other norms than their sum.
  alone = trained(ALONE, accumulate=2)
  assert all(float(said["gradient_norm"]) > test_step.RECIPE.clip_norm for said in alone[1])
  assert_same(trained(two), alone)


def test_replicas_with_micro_batches_of_their_own(two):
  # Draws 0 and 1 are those of the two replicas in the first of two micro-batches.
  assert_same(trained(two, accumulate=2), trained(ALONE, accumulate=4))


def test_replicas_skip_together(two):
  skipping = dict(nonfinite="skip")
  assert_same(trained(two, **skipping), trained(ALONE, accumulate=2, **skipping))
  for position, accumulate in ((two, 1), (ALONE, 2)):
    with position.scope():
      model = bigram.Bigram(tokens=20)
      update, start = updates(model, accumulate, **skipping), [v.numpy() for v in model.variables]
      batch = make(8, 6, 0)
      said = update([batch._replace(weight=batch.weight * float("nan"))] * accumulate, 0)
      assert np.isnan(said["gradient_norm"]) and said["learning_rate"] > 0
      for v, before in zip(model.variables, start, strict=True):
        np.testing.assert_array_equal(v.numpy(), before)
      update([batch] * accumulate, 1)
      assert not np.array_equal(model.table.numpy(), start[0]) and np.isfinite(model.table.numpy()).all()


def test_replicas_without_noise_are_one(two, monkeypatch):
  make_bigram = bigram.Bigram
  monkeypatch.setattr(bigram, "Bigram", lambda tokens: make_bigram(tokens, rate=0.0))
  assert_same(trained(two), trained(ALONE))


def test_replicas_stay_equal_to_the_bit(two):
  model, _ = trained(two)
  for v in model.variables:
    one, other = (copy.numpy() for copy in two.experimental_local_results(v.value))
    np.testing.assert_array_equal(one, other)


def test_rows_are_shared_out_and_blank_ones_fill_up():
  batch = make(5, 6, 0)
  parts = [step_lib.share(batch, 3, replica) for replica in range(3)]
  assert {part.src.shape for part in parts} == {(2, 6)}
  for field, shared in zip(batch, zip(*parts, strict=True), strict=True):
    joined = tf.concat(shared, 0).numpy()
    np.testing.assert_array_equal(joined[:5], field)
    assert not joined[5:].any()


def counts(position, update):
  """The counts of each replica at draw 5."""
  ask = tf.function(
    lambda: position.run(lambda: update._terms(make(4, 6, 0), tf.constant(5, tf.int64))[1]), autograph=False)
  return np.concatenate(position.experimental_local_results(ask()))


def test_noise_can_be_drawn_again_and_differs_between_replicas(two):
  drawn = {}
  for count, position in ((1, ALONE), (2, two)):
    with position.scope():
      update = updates(bigram.Bigram(tokens=20), seed=7)
      update._model.objective = lambda batch, *, seed, training, step: types.Loss({
        "token": types.Term(tf.constant(0.0), tf.random.stateless_uniform([], seed))})
    drawn[count] = counts(position, update)
  again = lambda draw: tf.random.stateless_uniform([], tf.random.fold_in([7, step_lib.NOISE], draw, alg="philox"))
  np.testing.assert_array_equal(drawn[1], [again(5)])
  np.testing.assert_array_equal(drawn[2], [again(10), again(11)])


def test_xla_by_hand_is_refused_under_a_strategy(two):
  with two.scope(), pytest.raises(ValueError, match=r"there is a distribution strategy; set train\.jit=False"):
    updates(bigram.Bigram(tokens=20), jit=True)


def ports(count):
  """Returns free ports of this machine."""
  sockets = [socket.socket() for _ in range(count)]
  for each in sockets:
    each.bind(("localhost", 0))
  found = [each.getsockname()[1] for each in sockets]
  for each in sockets:
    each.close()
  return found


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
  cluster = {"worker": [f"localhost:{port}" for port in ports(2)]}
  config = lambda index: json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
  workers = [subprocess.Popen([sys.executable, "-m", WORKER, str(tmp_path / f"{index}.npz")],
                              env={**os.environ, "TF_CONFIG": config(index)}, cwd=ROOT) for index in range(2)]
  assert [worker.wait(300) for worker in workers] == [0, 0]
  alone, _ = trained(ALONE, accumulate=2)
  for index in range(2):
    found = np.load(tmp_path / f"{index}.npz")
    assert bool(found["chief"]) == (index == 0)
    for v in alone.variables:
      np.testing.assert_allclose(found[v.name], v.numpy(), err_msg=v.name, **CLOSE)


def test_one_device_needs_no_strategy(monkeypatch):
  monkeypatch.delenv("TF_CONFIG", raising=False)
  assert strategy.build() is tf.distribute.get_strategy()
  assert strategy.is_chief()
  assert strategy.any_replica(True) and not strategy.any_replica(False)


@pytest.mark.parametrize("tpu, connects", [("local", False), ("my-tpu", True), ("grpc://10.0.0.2:8470", True)])
def test_a_tpu_by_flag(monkeypatch, tpu, connects):
  calls, resolver = [], object()
  patch = lambda name, fn: monkeypatch.setattr(name, fn)
  patch("tensorflow.distribute.cluster_resolver.TPUClusterResolver", lambda tpu: calls.append(tpu) or resolver)
  patch("tensorflow.config.experimental_connect_to_cluster", lambda found: calls.append(("connect", found)))
  patch("tensorflow.tpu.experimental.initialize_tpu_system", lambda found: calls.append(("start", found)))
  patch("tensorflow.distribute.TPUStrategy", lambda found: ("TPU", found))
  assert strategy.build(tpu) == ("TPU", resolver)
  assert calls == [tpu, *([("connect", resolver)] if connects else []), ("start", resolver)]


@pytest.mark.parametrize("text", ["{", '{"cluster": []}', "[]", '{"cluster": {"worker": 3}}',
                                  '{"cluster": {"worker": ["a:1", "b:1"]}}',
                                  '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}'])
def test_a_wrong_tf_config_is_refused(monkeypatch, text):
  monkeypatch.setenv("TF_CONFIG", text)
  with pytest.raises(ValueError, match='TF_CONFIG must be like {"cluster"'):
    strategy.build()


@pytest.mark.parametrize("cluster, task, expected", [
  ({}, None, (0, 1)),
  ({"worker": ["a:1"]}, None, (0, 1)),
  ({"worker": ["a:1", "b:1"]}, ("worker", 1), (1, 2)),
  ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("chief", 0), (0, 3)),
  ({"chief": ["a:1"], "worker": ["b:1", "c:1"]}, ("worker", "1"), (2, 3)),
])
def test_machines_are_numbered_from_the_chief(monkeypatch, cluster, task, expected):
  values = {"cluster": cluster} | ({"task": dict(zip(("type", "index"), task, strict=True))} if task else {})
  monkeypatch.setenv("TF_CONFIG", json.dumps(values))
  assert strategy.machine() == expected


def test_a_tpu_takes_no_tf_config(monkeypatch):
  monkeypatch.setenv("TF_CONFIG", json.dumps(
    {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}))
  with pytest.raises(ValueError, match="A TPU needs no TF_CONFIG, unset it"):
    strategy.build("local")


def test_a_tpu_that_is_not_there(monkeypatch):
  def gone(tpu):
    raise ValueError("Please provide a TPU Name to connect to.\nMore.")

  monkeypatch.setattr("tensorflow.distribute.cluster_resolver.TPUClusterResolver", gone)
  with pytest.raises(ValueError, match=r"^No TPU 'x' can be reached: Please provide .* --tpu=local; [^\n]*$"):
    strategy.build("x")
