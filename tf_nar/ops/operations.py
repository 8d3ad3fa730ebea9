"""Multiply-adds of the parts of a net, by formula; a family adds up those of its passes.

  S source and T target positions of a pair, L those of a canvas; D width, F ffn, V tokens; H heads

  encoder   E [ (4 D D + 2 D F) S + 2 D S S ]                      of E blocks
  decoder   C [ (6 D D + 2 D F) L + 2 D D S + 2 D L (L + S) ]      of C blocks; 2 D D S: keys and values of the source
  output    V D L
  aligned   D L T              what a position gives for the tokens of the target, where they are aligned
  links     (4 D D + 2 D H) L + D L L                              from vertex to vertex, of the DA-Transformer

Positions are padded ones, for a device computes them all, and what causal attention hides counts as well. Left out
are norms, softmaxes, dropout, look-ups, heads for length and fertility, soft copies, dynamic programmes, Adam, and what
is made twice to save memory: some per cent.
"""


def encoder(net, source, layers=None):
  """Returns those of an encoder over `source` positions, of `net.encoder_layers` blocks unless told otherwise."""
  layers = net.encoder_layers if layers is None else layers
  return layers * ((4 * net.width + 2 * net.ffn) * net.width * source + 2 * net.width * source**2)


def decoder(net, layers, positions, source):
  """Returns those of a decoder of `layers` blocks over `positions`, with a memory of `source` positions."""
  own = (6 * net.width + 2 * net.ffn) * net.width * positions + 2 * net.width**2 * source
  return layers * (own + 2 * net.width * positions * (positions + source))


def output(net, positions):
  """Returns those of the output layer."""
  return net.vocab * net.width * positions


def aligned(net, positions, target):
  """Returns those of scoring every target token at every position."""
  return net.width * positions * target


def links(net, vertices):
  """Returns those of the transitions of a graph."""
  return (4 * net.width + 2 * net.heads) * net.width * vertices + net.width * vertices**2
