"""The formula against the products that TensorFlow's graph of an update holds."""
import math

import pytest
import tensorflow as tf

from tf_nar import models
from tf_nar import types
from tf_nar.layers import transformer
from tf_nar.losses import cross_entropy
from tf_nar.models import ar
from tf_nar.models import cmlm
from tf_nar.models import nat_em
from tf_nar.train import flops

# Large enough that each part of the formula is several per cent of the whole.
NET = transformer.Config(
  vocab=301, width=32, ffn=48, heads=2, encoder_layers=3, decoder_layers=2, dropout=0.0, attention_dropout=0.0,
  relu_dropout=0.0, max_length=24)
ROWS, SOURCE, TARGET = 64, 21, 16  # So that the output layer has a whole chunk, and no blank places.
CONFIGS = {"ar": ar.Config(NET), "cmlm": cmlm.Config(NET), "nat_em": nat_em.Config(NET)}


def products(graph):
  """Returns the operations of all products of matrices in a graph, with the bodies of its loops run once."""
  total = 0
  for op in graph.get_operations():
    if op.type in ("MatMul", "BatchMatMulV2"):
      name = "transpose_a" if op.type == "MatMul" else "adj_x"
      inner = op.inputs[0].shape[-2 if op.get_attr(name) else -1]
      total += 2 * inner * math.prod(op.outputs[0].shape)
    elif op.type in ("While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall"):
      name = op.get_attr("body" if "While" in op.type else "f").name
      total += products(graph._get_function(name).graph)  # Private: no public call gives a loop's shapes.
  return total


def of_graph(family):
  model = models.build(family, CONFIGS[family], NET.vocab)
  variables = [variable.value for variable in model.trainable_variables]

  @tf.function
  def gradients(src, tgt):
    with tf.GradientTape() as tape:
      batch = types.Batch(src, tgt, tf.ones([ROWS]))
      loss = types.loss(model.objective(batch, seed=tf.constant([0, 0]), training=False))
    return tape.gradient(loss, variables)

  places = lambda length: tf.TensorSpec([ROWS, length], tf.int32)
  return products(gradients.get_concrete_function(places(SOURCE), places(TARGET)).graph)


@pytest.mark.parametrize("family", sorted(flops.LAYOUTS))
def test_the_formula_is_what_the_graph_multiplies(family):
  assert ROWS * TARGET == cross_entropy.ROWS
  counted = of_graph(family)
  # The output layer's bias is a row of its table in two of its three products, which the formula leaves out.
  counted -= 2 * 2 * ROWS * TARGET * NET.vocab
  assert flops.update(family, NET, ROWS, SOURCE, TARGET) == pytest.approx(counted, rel=0.002)


def test_by_hand():
  net = transformer.Config(vocab=7, width=2, ffn=3, encoder_layers=1, decoder_layers=1)
  # One row, one source place, one target place: every weight once, and a pair of places for each attention.
  encoder = 4 * 2 * 2 + 2 * 2 * 3 + 2 * 2
  decoder = 8 * 2 * 2 + 2 * 2 * 3 + 2 * 2 * 2
  assert flops.update("ar", net, 1, 1, 1) == 6 * (encoder + decoder + 2 * 7)
  assert flops.update("ar", net, 5, 1, 1) == 5 * flops.update("ar", net, 1, 1, 1)


def test_another_family_is_refused():
  with pytest.raises(ValueError, match="No count of operations for family 'glat'; there is one for ar, cmlm, nat_em"):
    flops.update("glat", NET, 1, 1, 1)
