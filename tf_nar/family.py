"""The interface of a model family: what the toolkit requires of a model.

A family is a module of `models/` and one line in `models.FAMILIES`. The module defines four names:

  Config   a frozen dataclass of the model's settings. It may contain any number of `transformer.Config`s, whose
           vocabulary size is filled in from the data; the lengths and the dtype of the one named `net` apply to the
           model's inputs.
  Search   a frozen dataclass of the decoding settings, which may differ from those used in training.
           `with_candidates(n)` returns a search that finds at least n candidates.
  Model    a Keras model, made from a `Config`, that satisfies the protocol `Model` below. It inherits from
           `keras.Model` alone.
  TRAITS   one `Traits` literal. It states everything else that the toolkit needs to know about a family, so that
           nothing is inferred.
"""
from typing import Any, Callable, NamedTuple, Protocol

import tensorflow as tf

from tf_nar import types

OPTIONAL = (  # Names of methods; see `Model`.
  "trace", "latents", "score_candidates", "score_tokens", "align", "limit", "translate_with", "check", "upsampling",
  "absorb", "initialise", "reconstruct")


class Operations(NamedTuple):
  """Multiply-adds for one sentence pair, and the number of positions at which the output layer computes V logits."""

  learned: int  # Multiply-adds of the passes that have a gradient.
  positions: int  # Positions of the output layer in those passes; their multiply-adds are included in `learned`.
  glanced: int = 0  # Multiply-adds of forward-only passes, such as the first pass of glancing training.
  glanced_positions: int = 0  # Positions of the output layer in the forward-only passes.


class Traits(NamedTuple):
  """Properties of a family; each family's module has one such literal."""

  operations: Callable[[Any, int, int], Operations]  # Maps (Config, source positions, target positions) to the cost.
  offers: frozenset = frozenset()  # The methods of `OPTIONAL` that its model has.
  batch: Callable[[Any], type] = lambda config: types.Batch  # The type that `objective` takes; or `types.Aligned`.
  autoregressive: bool = False  # Whether it can be a teacher: it has a beam search and an exact log p(y | x).
  needs_mask: bool = False  # Whether the vocabulary must have the token `<mask>`.
  one_pass: bool = False  # Whether translating costs the forward part of one update: a single decoder pass.
  side_by_side: bool = False  # Whether candidates are decoded in parallel, so that they share the encoder's memory.
  smoothed: bool = False  # Whether `Config.smoothing` smooths the labels of term "token".
  shortlist: bool = False  # Whether its searches read the tokens of `net.top_tokens` alone, an `EncoderDecoder`'s.
  readings: tuple = ()  # (name, changes of `Search`): decodings that EM's report compares, as argmax and ODD.
  shared: tuple = ("embed/tokens/", "encoder/")  # Paths of weights that a warm start from another family must fill.
  copies: dict = {}  # {prefix of paths: that of another family's weights, with which a warm start fills them too}.
  check: Callable[[Any, Any], None] = lambda config, search: None  # Raises ValueError if a `Search` is not for a model
  # of a `Config`.
  likelihood: Callable[[Any], str] = lambda config: "factorised"  # What `score` is for a `Config`: "factorised", log p
  # of the length and of each token given it; "structured", a sum over paths; "bound", a lower bound of such a sum;
  # "autoregressive", log p of each token given those before.
  proxy: Callable[[Any], str] = lambda config: "none"  # What stands for the text in training: "targets" or "inputs",
  # "fixed" or "adaptive", as "targets, adaptive; inputs, fixed"; docs/theory.md.
  frozen: Callable[[Any], dict] = lambda config: {}  # {the part of a `Config`'s model that comes from another run and
  # is not trained: its `Config`}, of one part at most.


class Model(Protocol):
  """The interface of every family's model.

  Shapes are those of `types.py`. `seed`, int32 [2], is the only source of randomness.
  """

  config: Any
  traits: Traits  # `TRAITS` of the module, as a class attribute.

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor) -> types.Loss:
    """Returns terms and statistics. Term "token" is the mean loss of one pass in nats per target token.

    Args:
      batch: of the type that `Traits.batch` returns.
      training: False: dropout is off, no target tokens are revealed to the decoder, and `seed` is unused.
      step: int64 [], the number of updates done before, for scheduled quantities; 0 where none is given.
    """

  def translate(self, src: tf.Tensor, search: Any, rescore: types.Rescore | None = None) -> types.Translation:
    """Translates src int32 [B, S]; if given, `rescore` maps tokens int32 [B, N, T] to the log p float32 [B, N] that
    ranks the candidates.
    """

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(tgt | src), float32 [B], EOS included, without smoothing or dropout; or a documented bound of it.

    It is -inf for a target that the model cannot produce.
    """

  # Optional methods, listed in `Traits.offers`:
  #
  # trace(src, search, rescore=None) -> (Translation, Trace)      inputs and predictions of each decoder pass
  # latents(src, search, tgt=None)   -> types.Latents             what refinement does to the latents
  # score_candidates(src, tgt)       -> float32 [B, N]            like `score`, with tgt int32 [B, N, T]; each source is
  #                                                               encoded once
  # score_tokens(src, tgt)           -> float32 [B, T]            log p of each target token, as in `score`; 0 at PAD
  # align(src, tgt)                  -> float32 [B, T, S]         the share of each source token in a target token, rows
  #                                                               of sum 1, or 0 where there is none, as at EOS
  # reconstruct(src, tgt)            -> int32 [B, T], or more     what a target is decoded to from its own latents
  # limit(search, source)            -> int32                     the longest translation, in tokens, that a search
  #                                                               returns for a source of so many tokens
  # translate_with(others, src, search, rescore=None)            `translate`, by the mean log p of this model and other
  #                                                               models of its family for each next token
  # check(src, drafts, search)       -> Translation               the greedy translation, by checking drafts int32
  #                                                               [B, N, T] of another model; see decode/speculative.py
  # upsampling(source, target)       -> int                       the least `Config.upsample` with room for the target
  #                                                               ids, for a source of so many tokens
  # absorb(statistics)                                            updates variables that have no gradient; called once
  #                                                               per update with the sums over replicas and
  #                                                               micro-batches; nothing else may write them
  # initialise(batch, *, seed)                                    data-dependent initialisation; called once, on the
  #                                                               first batch, before averages are made and never on
  #                                                               resume; all replicas get the same values
