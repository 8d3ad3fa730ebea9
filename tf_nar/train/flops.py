"""The floating-point operations that an update asks for, by formula.

A weight that multiplies costs 6 operations a place: a product and a sum forward, and the same backward for its
input's gradient and for its own. Attention multiplies places instead, D numbers a pair for the scores and D for
the mix, and counts alike.

  S source, T target and L canvas places of each of B rows; D width, F ffn, V words; E encoder and C decoder blocks;
  H heads. The canvas is the target (L = T), or has k places for each of the source (L = k S)

  encoder   E [ (4 D D + 2 D F) S + 2 D S S ]
  decoder   C [ (6 D D + 2 D F) L + 2 D D S + 2 D L (L + S) ]      2 D D S: keys and values of the source
  output    V D L
  words     D L T              what a place gives for the words of the target, where they are aligned
  links     (4 D D + 2 D H) L + D L L                              from vertex to vertex, of the DA-Transformer

  update    6 B (encoder + decoder + output + words + links)
  glancing  2 B (decoder + output + words + links), the pass forward that says what to show; the DA-Transformer then
            asks for the best word at each place of its path, V D T

Places are padded ones, for a device computes them all, and what causal attention hides counts as well. Left out
are norms, softmaxes, dropout, look-ups, heads for length and fertility, soft copies, dynamic programmes, Adam, and what
is made twice to save memory: some per cent.
"""
from typing import NamedTuple


class Layout(NamedTuple):
  """What a family's net has of the formula."""

  slots: int = 0  # Before the source.
  blocks: int = 0  # Decoder blocks beyond net.decoder_layers.
  upsampled: bool = False  # Whether the canvas has places for each of the source, which are aligned to words.
  links: bool = False


LAYOUTS = {
  "ar": Layout(),
  "cmlm": Layout(slots=1),
  "ctc": Layout(upsampled=True),
  "dag": Layout(upsampled=True, links=True),
  "glat": Layout(slots=1),
  "nat_em": Layout(slots=1, blocks=1),
  "nat_fertility": Layout(),
}


def decoder_blocks(family, net):
  """Returns C of a `transformer.Config`."""
  return net.decoder_layers + LAYOUTS[family].blocks


def places(family, config, source, target):
  """Returns L, the places that the output layer reads for `source` and `target` places, S and T."""
  return config.upsample * source if LAYOUTS[family].upsampled else target


def update(family, config, rows, source, target):
  """Returns the operations of an update on `rows` pairs of `source` and `target` places, an int.

  Args:
    family: a key of `LAYOUTS`.
    config: the family's, with the `vocab` of its net.
    rows, source, target: B, the batch's S and T.
  """
  layout, net = LAYOUTS[family], config.net
  width, ffn, canvas = net.width, net.ffn, places(family, config, source, target)
  source += layout.slots
  encoder = (4 * width + 2 * ffn) * width * source + 2 * width * source**2
  decoder = (6 * width + 2 * ffn) * width * canvas + 2 * width**2 * source + 2 * width * canvas * (canvas + source)
  read = net.vocab * width * canvas
  if layout.upsampled:
    read += width * canvas * target
  if layout.links:
    read += (4 * width + 2 * net.heads) * width * canvas + width * canvas**2
  decoder = decoder_blocks(family, net) * decoder + read
  glancing = 0
  if getattr(config, "glance", None):
    glancing = decoder + (net.vocab * width * target if layout.links else 0)
  return rows * (6 * (net.encoder_layers * encoder + decoder) + 2 * glancing)
