"""Checkpoints of version 0.1, and none."""
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.train import bigram
from tf_nar import config
from tf_nar.data import pipeline
from tf_nar.train import checkpoint
from tf_nar.train import optimizer


def test_reads_checkpoints_of_version_0_1(tmp_path):
  """They hold the layers of a model that are not in a list, and all learned weights with Adam."""
  model = families.build("nat_em")
  adam = optimizer.Adam.of(config.Optimizer(), model)
  saved = checkpoint.Checkpoints(model, adam, str(tmp_path))
  for step in (1, 3):
    for v in model.variables:
      v.assign(tf.fill(v.shape, float(step)))
    old = tf.train.Checkpoint(model=model, adam=adam, epoch=tf.Variable(0, dtype=tf.int64),
                              batch=tf.Variable(step, dtype=tf.int64))
    old.write(str(tmp_path / f"checkpoints/ckpt-{step:06d}"))
  for v in model.variables:
    v.assign(tf.fill(v.shape, 9.0))
  assert all((mean == 2).all() for mean in saved.mean([1, 3]).values())
  assert saved.restore() == (3, pipeline.Position(0, 3))
  assert all((v.numpy() == 3).all() for v in model.variables)


def test_no_checkpoint_has_no_mean(tmp_path):
  with pytest.raises(ValueError, match="There is no checkpoint to average; train until one is saved"):
    checkpoint.Checkpoints(bigram.Bigram(), tf.Module(), str(tmp_path)).mean([])
