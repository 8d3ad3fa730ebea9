"""The formula compared with the matrix products in TensorFlow's graph of an update."""
import dataclasses
import math

import pytest
import tensorflow as tf

from tf_nar import models
from tf_nar import types
from tf_nar.layers import flow_prior
from tf_nar.layers import transformer
from tf_nar.losses import cross_entropy
from tf_nar.models import ar
from tf_nar.models import cmlm
from tf_nar.models import ctc
from tf_nar.models import dag
from tf_nar.models import flowseq
from tf_nar.models import glat
from tf_nar.models import lanmt
from tf_nar.models import nat_em
from tf_nar.models import nat_fertility
from tf_nar.ops import glancing
from tf_nar.train import flops

# Large enough that each part of the formula is several per cent of the whole.
NET = transformer.Config(
  vocab=320, width=32, ffn=48, heads=2, encoder_layers=3, decoder_layers=2, dropout=0.0, attention_dropout=0.0,
  relu_dropout=0.0, max_length=24)
TARGET = 16
# Rows and source positions, chosen so that the output layer has whole chunks without padding.
SHAPES = {"ctc": (64, 8), "dag": (32, 16)}
CONFIGS = {
  "ar": ar.Config(NET), "cmlm": cmlm.Config(NET), "ctc": ctc.Config(NET, upsample=2, glance=glancing.Glance()),
  "dag": dag.Config(dataclasses.replace(NET, max_length=24), upsample=2), "glat": glat.Config(NET),
  "flowseq": flowseq.Config(NET, flow_prior.Config((1, 1), ffn=40)), "lanmt": lanmt.Config(NET),
  "nat_em": nat_em.Config(NET), "nat_fertility": nat_fertility.Config(NET)}


def products(graph):
  """Returns the operations of all matrix products in a graph, with the bodies of its loops run once."""
  total = 0
  for op in graph.get_operations():
    if op.type in ("MatMul", "BatchMatMulV2"):
      name = "transpose_a" if op.type == "MatMul" else "adj_x"
      inner = op.inputs[0].shape[-2 if op.get_attr(name) else -1]
      sums = op.outputs[0].shape[0] == 1  # A sum of rows, written as a product with ones.
      total += 0 if sums else 2 * inner * math.prod(op.outputs[0].shape)
    elif op.type == "Einsum":
      letters = "".join(op.get_attr("equation").decode().split("->")[0].split(","))
      total += 2 * math.prod(dict(zip(letters, (n for x in op.inputs for n in x.shape), strict=True)).values())
    elif op.type in ("While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall"):
      name = op.get_attr("body" if "While" in op.type else "f").name
      total += products(graph._get_function(name).graph)  # Private: no public call gives a loop's shapes.
  return total


def of_graph(family, rows, source):
  model = models.build(family, CONFIGS[family], NET.vocab)
  variables = [variable.value for variable in model.trainable_variables]

  @tf.function
  def gradients(src, tgt):
    with tf.GradientTape() as tape:
      batch = types.Batch(src, tgt, tf.ones([rows]))
      if model.traits.batch(model.config) is types.Aligned:
        batch = types.Aligned(*batch, tf.ones_like(src))
      loss = types.loss(model.objective(batch, seed=tf.constant([0, 0]), training=True))
    return tape.gradient(loss, variables)

  positions = lambda length: tf.TensorSpec([rows, length], tf.int32)
  return products(gradients.get_concrete_function(positions(source), positions(TARGET)).graph)


@pytest.mark.parametrize("family", sorted(models.FAMILIES))
def test_the_formula_is_what_the_graph_multiplies(family):
  assert family in CONFIGS, f"Add {family} to CONFIGS in tests/train/test_flops.py; docs/adding.md has the whole list."
  rows, source = SHAPES.get(family, (64, 21))
  config = CONFIGS[family]
  canvas = models.traits(family).operations(config, source, TARGET).positions
  assert rows * canvas == cross_entropy.ROWS
  counted = of_graph(family, rows, source)
  # The output layer's bias is a column of its table, which the formula leaves out; and so are small heads.
  reads = 2 if models.traits(family).operations(config, source, TARGET).glanced else 1
  counted -= 2 * rows * canvas * NET.vocab * reads
  if family == "dag":  # Logits and links are recomputed in the backward pass.
    counted -= 2 * rows * (canvas * (NET.vocab * (NET.width + 1) + canvas * NET.width) + TARGET * NET.vocab)
  if family == "nat_fertility":
    counted -= 3 * 2 * rows * source * NET.width * nat_fertility.CLASSES
  assert flops.update(models.traits(family), config, rows, source, TARGET) == pytest.approx(counted, rel=0.002)


def test_by_hand():
  net = transformer.Config(vocab=7, width=2, ffn=3, encoder_layers=1, decoder_layers=1)
  # One row, one source position, one target position: every weight once, and one pair of positions per attention.
  encoder = 4 * 2 * 2 + 2 * 2 * 3 + 2 * 2
  decoder = 8 * 2 * 2 + 2 * 2 * 3 + 2 * 2 * 2
  assert flops.update(ar.TRAITS, ar.Config(net), 1, 1, 1) == 6 * (encoder + decoder + 2 * 7)
  assert flops.update(ar.TRAITS, ar.Config(net), 5, 1, 1) == 5 * flops.update(ar.TRAITS, ar.Config(net), 1, 1, 1)
