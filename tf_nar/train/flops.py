"""The floating-point operations that an update of a Transformer asks for, by formula.

A weight that multiplies costs 6 operations a place: a product and a sum forward, and the same backward for its
input's gradient and for its own. Attention multiplies places instead, D numbers a pair for the scores and D for
the mix, and counts alike.

  S source and T target places of each of B rows; D width, F ffn, V words; E encoder and C decoder blocks

  encoder   E [ (4 D D + 2 D F) S + 2 D S S ]
  decoder   C [ (6 D D + 2 D F) T + 2 D D S + 2 D T (T + S) ]      2 D D S: keys and values of the source
  output    V D T
  update    6 B (encoder + decoder + output)

Places are padded ones, for a device computes them all, and what causal attention hides counts as well. Left out
are norms, softmaxes, dropout, look-ups, the length head and Adam: some per cent.
"""

# By family: slots before the source, and decoder blocks beyond net.decoder_layers. Those with another canvas or
# several decoder passes an update are not counted.
LAYOUTS = {"ar": (0, 0), "cmlm": (1, 0), "nat_em": (1, 1)}


def decoder_blocks(family, net):
  """Returns C.

  Raises:
    ValueError: for a family that is not counted.
  """
  if family not in LAYOUTS:
    raise ValueError(f"No count of operations for family {family!r}; there is one for {', '.join(sorted(LAYOUTS))}.")
  return net.decoder_layers + LAYOUTS[family][1]


def update(family, net, rows, source, target):
  """Returns the operations of an update on `rows` pairs of `source` and `target` places, an int.

  Args:
    family: a key of `LAYOUTS`.
    net: a `transformer.Config` with its `vocab`.
    rows, source, target: B, the batch's S and T.

  Raises:
    ValueError: for a family that is not counted.
  """
  decoder_layers = decoder_blocks(family, net)
  source += LAYOUTS[family][0]
  width, ffn = net.width, net.ffn
  encoder = (4 * width + 2 * ffn) * width * source + 2 * width * source**2
  decoder = (6 * width + 2 * ffn) * width * target + 2 * width**2 * source + 2 * width * target * (target + source)
  output = net.vocab * width * target
  return 6 * rows * (net.encoder_layers * encoder + decoder_layers * decoder + output)
