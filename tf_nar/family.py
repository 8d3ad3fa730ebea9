"""What a model family is: the contract between a paper's model and the house.

A family is a module of `models/` and one line in `models.FAMILIES`. It has four names:

  Config   a frozen dataclass of what is learned. Its nets are `transformer.Config`s anywhere in it, whose vocabulary is
           filled in from the data; `net` is the one whose length and type bound what the model reads.
  Search   a frozen dataclass of how it is asked, which may be other than in training. `with_candidates(n)` returns the
           search that finds at least n candidates.
  Model    a Keras model that satisfies `Model` below, made of a `Config`. Nobody inherits from anything else.
  TRAITS   one `Traits` literal: all that the house may ask of a family beyond that. It never guesses.
"""
from typing import Any, Callable, NamedTuple, Protocol

from tf_nar import types

OPTIONAL = ("trace", "score_candidates", "limit", "upsampling", "absorb", "initialise")  # Methods; see `Model`.


class Operations(NamedTuple):
  """Multiply-adds for one pair, and positions of the output layer, which is read for all V tokens at each."""

  learned: int  # Of the passes that have a gradient.
  positions: int  # Read by the output layer with a gradient; in `learned`.
  glanced: int = 0  # Of passes forward alone, as the one that says what to show.
  glanced_positions: int = 0


class Traits(NamedTuple):
  """What the house may ask of a family; one literal in each family's module."""

  operations: Callable[[Any, int, int], Operations]  # Of (Config, source positions, target positions).
  offers: frozenset = frozenset()  # Which of `OPTIONAL` its model has.
  batch: Callable[[Any], type] = lambda config: types.Batch  # What `objective` takes; or `types.Aligned`.
  autoregressive: bool = False  # Whether it can be a teacher: a beam, an exact log p, token by token.
  needs_mask: bool = False  # Whether a vocabulary without `<mask>` will not do.
  one_pass: bool = False  # Whether a translation is what an update learns, forward: one decoder pass, and no more.
  side_by_side: bool = False  # Whether a search decodes its candidates side by side, so that they share the memory.
  best_by: str = "bleu"  # The validation number that selects, stops and averages; "-token": the less the better.
  smoothed: bool = False  # Whether `Config.smoothing` smooths the labels of term "token".
  readings: tuple = ()  # (name, changes of `Search`) that EM's report tells apart, as argmax and ODD.
  shared: tuple = ("embed/tokens/", "encoder/")  # Paths that a warm start from another family must fill.
  frozen: str = ""  # The part of the model that another run fills and no gradient moves; "": none.


class Model(Protocol):
  """What every family's model has. Shapes are those of `types.py`; `seed` is int32 [2] and all randomness."""

  config: Any
  traits: Traits  # The module's, as a class attribute.

  def objective(self, batch, *, seed, training, step) -> types.Loss:
    """Returns terms and statistics. Term "token" is the mean in nats a target token of what one pass learns.

    Args:
      batch: of the type that `Traits.batch` says.
      training: False: dropout off, nothing shown, `seed` unused.
      step: int64 [], updates done before, for what is scheduled; 0 where none is given.
    """

  def translate(self, src, search, rescore=None) -> types.Translation:
    """Translates int32 [B, S]; `rescore` maps tokens int32 [B, N, T] to log p float32 [B, N] and ranks them."""

  def score(self, src, tgt):
    """Returns log p(tgt | src), float32 [B], EOS counted, no smoothing, dropout off; or a documented bound of it.

    It is -inf for a target that the model cannot say.
    """

  # Optional, as `Traits.offers` says:
  #
  # trace(src, search, rescore=None) -> (Translation, Trace)      what each pass was given and made
  # score_candidates(src, tgt)       -> float32 [B, N]            as `score`, a source read once; tgt int32 [B, N, T]
  # limit(search, source)            -> int32                     the most tokens that a search says, of source tokens
  # upsampling(source, target)       -> int                       the least `Config.upsample` with room for target ids
  # absorb(statistics)                                            the only writer of what no gradient moves, once an
  #                                                               update; sums over replicas and micro-batches
  # initialise(batch, *, seed)                                    once, on the first batch, before averages are made and
  #                                                               never on resume; on all replicas alike
