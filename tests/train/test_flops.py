"""The formula compared with the matrix products in TensorFlow's graph of an update."""
import dataclasses
import math

import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.layers import flow_prior
from tf_nar.layers import lengths
from tf_nar.layers import quantizer
from tf_nar.layers import transformer
from tf_nar.losses import cross_entropy
from tf_nar.losses import divergence
from tf_nar.models import ar
from tf_nar.models import cmlm
from tf_nar.models import ctc
from tf_nar.models import dag
from tf_nar.models import flowseq
from tf_nar.models import glat
from tf_nar.models import janus
from tf_nar.models import lanmt
from tf_nar.models import lanmt_score
from tf_nar.models import latent_codes
from tf_nar.models import nat_em
from tf_nar.models import nat_fertility
from tf_nar.models import refinement
from tf_nar.ops import glancing
from tf_nar.train import flops

# Large enough that each part of the formula is several per cent of the whole.
NET = transformer.Config(
  vocab=320, width=32, ffn=48, heads=2, encoder_layers=3, decoder_layers=2, dropout=0.0, attention_dropout=0.0,
  relu_dropout=0.0, max_length=24)
TARGET = 16
# Rows and source positions, chosen so that the output layer has whole chunks without padding.
SHAPES = {"ctc": (64, 8), "dag": (32, 16), "janus": (16, 21), "lanmt_score": (32, 21), "refinement": (16, 21)}
ROWS = 1_024
# Positions of the output layer in one chunk of a loop.
CHUNKS = {"janus": len(janus.PAIRS) * ROWS // divergence.STREAMS}
CONFIGS = {
  "ar": ar.Config(NET),
  "cmlm": cmlm.Config(NET),
  "ctc": ctc.Config(NET, upsample=2, glance=glancing.Glance()),
  "dag": dag.Config(NET, upsample=2),
  "flowseq": flowseq.Config(NET, flow_prior.Config((1, 1), ffn=40)),
  "glat": glat.Config(NET),
  "janus": janus.Config(NET),
  "lanmt": lanmt.Config(NET),
  "lanmt/source": lanmt.Config(NET, lanmt.Latent("source")),
  "lanmt_score": lanmt_score.Config(NET, layers=2, delta=2),
  "lanmt_score/energy": lanmt_score.Config(NET, kind="energy", layers=2, delta=2),
  "latent_codes": latent_codes.Config(NET, quantizer.Config(codes=48), prior_layers=2),
  "nat_em": nat_em.Config(NET),
  "nat_fertility": nat_fertility.Config(NET),
  "refinement": refinement.Config(dataclasses.replace(NET, decoder_layers=3)),
}


def products(graph):
  """Returns the operations of all matrix products in a graph, with the bodies of its loops run once."""
  total = 0
  for op in graph.get_operations():
    if op.type in ("MatMul", "BatchMatMulV2"):
      name = "transpose_a" if op.type == "MatMul" else "adj_x"
      inner = op.inputs[0].shape[-2 if op.get_attr(name) else -1]
      sums = op.outputs[0].shape[0] == 1 or inner == 1  # Of rows, written as a product with ones; and its gradient.
      total += 0 if sums else 2 * inner * math.prod(op.outputs[0].shape)
    elif op.type == "Einsum":
      letters = "".join(op.get_attr("equation").decode().split("->")[0].split(","))
      total += 2 * math.prod(dict(zip(letters, (n for x in op.inputs for n in x.shape), strict=True)).values())
    elif op.type in ("While", "StatelessWhile", "PartitionedCall", "StatefulPartitionedCall"):
      name = op.get_attr("body" if "While" in op.type else "f").name
      total += products(graph._get_function(name).graph)  # Private: no public call gives a loop's shapes.
  return total


def of_graph(family, config, rows, source):
  model = models.build(family, config, NET.vocab)
  variables = [variable.value for variable in model.trainable_variables]

  @tf.function(autograph=False)
  def gradients(src, tgt):
    with tf.GradientTape() as tape:
      batch = types.Batch(src, tgt, tf.ones([rows]))
      if model.traits.batch(model.config) is types.Aligned:
        batch = types.Aligned(*batch, tf.ones_like(src))
      loss = types.loss(model.objective(batch, seed=tf.constant([0, 0]), training=True))
    return tape.gradient(loss, variables)

  positions = lambda length: tf.TensorSpec([rows, length], tf.int32)
  return products(gradients.get_concrete_function(positions(source), positions(TARGET)).graph)


QUICK = "ar", "ctc", "lanmt_score", "nat_em"  # A cache, a canvas longer than the target, a frozen part, a plain one.


@pytest.mark.parametrize("case", families.each(models.FAMILIES | CONFIGS.keys(), QUICK))
def test_the_formula_is_what_the_graph_multiplies(case, monkeypatch):
  monkeypatch.setattr(cross_entropy, "ROWS", ROWS)  # One chunk, as the body of a loop is counted once.
  family = case.partition("/")[0]
  assert family in CONFIGS, f"Add {family} to CONFIGS in tests/train/test_flops.py; docs/adding.md has the whole list."
  rows, source = SHAPES.get(family, (64, 21))
  config = CONFIGS[case]
  cost = models.traits(family).operations(config, source, TARGET)
  canvas = cost.positions or cost.glanced_positions
  assert rows * canvas == CHUNKS.get(family, ROWS)
  counted = of_graph(family, config, rows, source)
  # The output layer's bias is a column of its table, which the formula leaves out; and so are small heads.
  if cost.positions:
    counted -= 2 * rows * (canvas + cost.glanced_positions) * NET.vocab
  if family == "dag":  # Logits and links are recomputed in the backward pass.
    counted -= 2 * rows * (canvas * (NET.vocab * (NET.width + 1) + canvas * NET.width) + TARGET * NET.vocab)
  if family == "refinement":  # Positional queries and keys, in 4 passes of 3 blocks, are computed once for all rows.
    counted -= 3 * 2 * 4 * 3 * NET.width * TARGET * (2 * NET.width + TARGET)
  if family == "janus":  # Logits are recomputed in the backward pass; another loop has AR's other tokens.
    counted -= 2 * rows * canvas * NET.vocab * (NET.width + 2)
    counted -= 2 * ROWS * NET.vocab * (3 * NET.width + 1)
  if family == "nat_fertility":
    counted -= 3 * 2 * rows * source * NET.width * nat_fertility.CLASSES
  if case == "lanmt_score/energy":  # Of keys and values of the memory in the inner gradient, which nothing reads.
    counted -= config.layers * 2 * 2 * rows * TARGET * source * NET.width
  if family == "lanmt":  # The length head, computed a second time for the share of right lengths.
    counted -= (3 + 1) * 2 * rows * NET.width * (2 * lengths.REACH + 1)
  assert flops.update(models.traits(family), config, rows, source, TARGET) == pytest.approx(counted, rel=0.002)


def test_by_hand():
  net = transformer.Config(vocab=7, width=2, ffn=3, encoder_layers=1, decoder_layers=1)
  # One row, one source position, one target position: every weight once, and one pair of positions per attention.
  encoder = 4 * 2 * 2 + 2 * 2 * 3 + 2 * 2
  decoder = 8 * 2 * 2 + 2 * 2 * 3 + 2 * 2 * 2
  assert flops.update(ar.TRAITS, ar.Config(net), 1, 1, 1) == 6 * (encoder + decoder + 2 * 7)
  assert flops.update(ar.TRAITS, ar.Config(net), 5, 1, 1) == 5 * flops.update(ar.TRAITS, ar.Config(net), 1, 1, 1)
