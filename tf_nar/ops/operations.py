"""Formulas for the multiply-adds of the parts of a model; a family sums those of its passes.

  S source and T target positions of a pair, L positions of a canvas; D width, F ffn, V vocabulary size, H heads

  encoder   E [ (4 D D + 2 D F) S + 2 D S S ]                      of E blocks
  decoder   C [ (6 D D + 2 D F) L + 2 D D S + 2 D L (L + S) ]      of C blocks; 2 D D S: keys and values of the source
  output    V D L
  aligned   D L T              logits of the target's tokens at each position, for losses over alignments
  links     (4 D D + 2 D H) L + D L L                              transitions of the DA-Transformer

Padded positions count, since a device computes them too, and so do those masked by causal attention. Normalisation,
softmax, dropout, embedding look-ups, length and fertility heads, soft copies, dynamic programmes, Adam and
recomputation to save memory are left out; together they are some per cent.
"""
from typing import Any


def encoder(net: Any, source: int, layers: int | None = None) -> int:
  """Returns the multiply-adds of an encoder over `source` positions; `layers` is `net.encoder_layers` by default."""
  layers = net.encoder_layers if layers is None else layers
  return layers * ((4 * net.width + 2 * net.ffn) * net.width * source + 2 * net.width * source**2)


def decoder(net: Any, layers: int, positions: int, source: int) -> int:
  """Returns the multiply-adds of a decoder of `layers` blocks over `positions`, with a memory of `source` positions."""
  own = (6 * net.width + 2 * net.ffn) * net.width * positions + 2 * net.width**2 * source
  return layers * (own + 2 * net.width * positions * (positions + source))


def output(net: Any, positions: int) -> int:
  """Returns the multiply-adds of the output layer."""
  return net.vocab * net.width * positions


def whole(net: Any, layers: int, source: int, target: int) -> int:
  """Returns those of an encoder, a decoder of `layers` blocks over the target, and the output layer."""
  return encoder(net, source) + decoder(net, layers, target, source) + output(net, target)


def aligned(net: Any, positions: int, target: int) -> int:
  """Returns the multiply-adds of scoring every target token at every position."""
  return net.width * positions * target


def links(net: Any, vertices: int) -> int:
  """Returns the multiply-adds of the transitions of a graph."""
  return (4 * net.width + 2 * net.heads) * net.width * vertices + net.width * vertices**2
