"""The DA-Transformer: Huang et al., "Directed Acyclic Transformer for Non-Autoregressive Machine Translation", 2022.

  p(y | x) = Σ_a Π_t E[a_{t-1}, a_t] p(y_t | a_t, x)        T counts EOS

The decoder has λ vertices per source token. Each has a distribution over tokens and one over the vertices after it. A
translation is a path, and translations that exclude each other take different paths. No length is predicted.

  in the paper or its program           here
  λ, L = λ S                            `Config.upsample`; S counts EOS
  decoder input: BOS, masks, EOS        `Model.canvas`
  E, from state and position            `layers/transitions.py`
  dynamic programmes                    `ops/dag.py`, `losses/dag.py`
  glancing, number-random               `Model.glance`
  forced emission, of both releases     `Config.force`, `losses/dag.py`
  greedy, lookahead, (joint) Viterbi    `decode/dag.py`
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import consensus
from tf_nar.decode import dag as decode
from tf_nar.decode import length_parallel
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.layers import transitions
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.losses import dag as loss
from tf_nar.losses import emissions as emissions_lib
from tf_nar.losses import ngrams
from tf_nar.ops import alignment
from tf_nar.ops import choice
from tf_nar.ops import dag
from tf_nar.ops import glancing
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import tokens as tokens_lib

ENCODER, DECODER, SHOWN = range(3)  # Numbers of the random streams.
WALKS, METHODS = ("greedy", "lookahead"), ("greedy", "lookahead", "viterbi", "joint")
RANKS = "path", "paths", "consensus"


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  upsample: int = 8  # λ, vertices per source token.
  glance: glancing.Glance = glancing.Glance(0.5, 0.1, 200_000)  # Schedule of glancing training.
  force: str = "vertex"  # What a revealed token forces: "vertex" or "path", see `losses/dag.py`.
  ngrams: int = 0  # n > 0: the loss is that of expected n-grams, as 2, instead of likelihood; see `losses/ngrams.py`.
  ngram_score: str = "precision"  # Score of the expected n-grams: "precision" or "f1".

  def __post_init__(self):
    core_config.check_choice("model.force", self.force, loss.FORCES)
    ngrams.check(self.ngrams, self.ngram_score)
    if self.upsample < 2:
      raise ValueError(
        f"model.upsample must be at least 2, for a first and a last vertex of an empty source; got {self.upsample}.")


@dataclasses.dataclass(frozen=True)
class Search:
  method: str = "lookahead"  # "lookahead", "greedy", "viterbi" or "joint" (joint Viterbi), see `decode/dag.py`.
  collapse: bool = True  # Whether to remove a token that equals the one before it.
  penalty: float = 1.0  # The score of (joint) Viterbi is divided by T^penalty.
  candidates: int = 1  # N, the number of best lengths to return; above 1 for viterbi and joint only.
  rank: str = "path"  # Ranking of candidates: "path", "paths", "consensus", see `Model.ranked`; a teacher overrides it.
  alpha: float = 0.6  # Exponent of the length penalty with a teacher or "paths", as in the teacher's beam search.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    core_config.check_choice("search.method", self.method, METHODS)
    if self.candidates < 1 or (self.candidates > 1 and self.method in WALKS):
      raise ValueError(
        f"search.candidates must be at least 1, and 1 for greedy and lookahead, which find one path; got "
        f"{self.candidates} with {self.method}; viterbi and joint find several.")
    core_config.check_choice("search.rank", self.rank, RANKS)
    if self.rank != "path" and self.candidates == 1:
      raise ValueError(
        f"search.rank={self.rank} needs several candidates; got search.candidates=1; set search.candidates=9 too.")
    if self.penalty != 1 and self.method in WALKS:
      raise ValueError(f"search.penalty needs viterbi or joint, as {self.method} compares no lengths; "
                       f"got {self.penalty}; set search.method=joint too.")

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates: joint Viterbi if this one finds a single path."""
    if count <= self.candidates:
      return self
    return dataclasses.replace(self, method="joint" if self.method in WALKS else self.method, candidates=count)


def _operations(config, source, target):
  net, vertices = config.net, config.upsample * source
  decoded = operations.decoder(net, net.decoder_layers, vertices, source) + operations.output(net, vertices)
  decoded += operations.aligned(net, vertices, target) + operations.links(net, vertices)
  one = family.Operations(operations.encoder(net, source) + decoded, vertices)
  if not config.glance or config.ngrams:
    return one
  # Glancing also computes the best token at each vertex of the most probable path.
  return one._replace(glanced=decoded + operations.output(net, target), glanced_positions=vertices + target)


TRAITS = family.Traits(_operations, offers=frozenset({"upsampling", "align"}), needs_mask=True, shortlist=True,
                       likelihood=lambda config: "structured",
                       proxy=lambda config: "targets, adaptive" + f"; {glancing.PROXY}" * bool(config.glance))


class Model(keras.Model):
  """See the module docstring. The interface of a family is `upsampling`, `objective`, `score` and `translate`."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="dag")
    self.config = config
    most = config.upsample * config.net.max_length
    net = dataclasses.replace(config.net, max_length=most)  # Source and canvas share the position embeddings.
    self.net = encoder_decoder.EncoderDecoder(net, decoder_layers=config.net.decoder_layers, length="none")
    self.transitions = transitions.Transitions(config.net, most, name="transitions")
    self.built = True

  def upsampling(self, source: int, target: list[int]) -> int:
    """Returns the least `Config.upsample` with room for the target ids, given the number of source tokens."""
    return -(-len(target) // source)

  def canvas(self, src: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the decoder's input tokens, int32 [B, L]: BOS, MASK ..., EOS; and the number of vertices, int32 [B]."""
    vertices = self.config.upsample * masking.lengths(src)
    at = tf.range(self.config.upsample * tf.shape(src)[1])
    given = tf.where(at == 0, types.BOS, tf.where(at == vertices[:, None] - 1, types.EOS, types.MASK))
    return tf.where(at < vertices[:, None], given, types.PAD), vertices

  def graph(
      self, canvas: tf.Tensor, vertices: tf.Tensor, memory: encoder_decoder.Memory,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the states float [B, L, D] of the vertices and log E float32 [B, L, L]."""
    states = self.net.decode(self.net.canvas(canvas), vertices, memory, dropout)
    return states, self.transitions(states, vertices)

  def emissions(self, states: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p of each target token at each vertex, float32 [B, L, T]."""
    return emissions_lib.gathered_log_probs(states, self.net.embed.table, self.net.embed.bias, tgt)

  def glance(
      self, graph: tuple[tf.Tensor, tf.Tensor], tgt: tf.Tensor, vertices: tf.Tensor, share: float | tf.Tensor,
      seed: tf.Tensor) -> tf.Tensor:
    """Chooses which target tokens to reveal on the most probable path of the target.

    Their number is a share of the tokens whose vertex on that path predicts another token.

    Args:
      graph: states and log E of a first pass.
      tgt, vertices: int32 [B, T], [B].
      share: float32 [].
      seed: int32 [2].

    Returns:
      bool [B, L, T], True where a token is revealed at a vertex; each vertex of the path has one token.
    """
    states, links = map(tf.stop_gradient, graph)
    lengths = masking.lengths(tgt)
    path = dag.best_path(links, tf.stop_gradient(self.emissions(states, tgt)), vertices, lengths)  # [B, T]
    predictions = self.net.likeliest(tf.gather(states, path, batch_dims=1))
    # Differs: BOS and EOS, which have probability 1 here, are neither counted nor revealed.
    there = masking.valid(tgt) & (tgt != types.EOS) & dag.feasible(vertices, lengths)[:, None]
    wrong = tf.math.count_nonzero(there & (predictions != tgt), 1, dtype=tf.float32)
    shown = choice.uniform(seed, tf.cast(wrong * share + 0.5, tf.int32), there)  # Rounded half up.
    return tf.one_hot(path, tf.shape(states)[1], True, False, axis=1) & shown[:, None]

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """-log p(y | x) per target token, with some target tokens revealed in training."""
    stream = lambda n: noise_lib.stream(seed, n) if training else None
    memory = self.net.encode(batch.src, noise_lib.Dropout(stream(ENCODER)))
    canvas, vertices = self.canvas(batch.src)
    # A new `Dropout` with the same seed: both passes drop the same units.
    graph = lambda canvas: self.graph(canvas, vertices, memory, noise_lib.Dropout(stream(DECODER)))
    if training and self.config.ngrams:
      states, links = graph(canvas)
      order = self.config.ngrams
      counts, totals = dag.expected(links, self.emissions(states, batch.tgt), vertices, order)
      return types.Loss(ngrams.terms(
        batch.tgt, counts[-1], totals[-1], totals[0], batch.weight, order, self.config.ngram_score))
    if training and self.config.glance:
      share = self.config.glance.at(step)
      shown = self.glance(graph(canvas), batch.tgt, vertices, share, stream(SHOWN))
      told = tf.reduce_sum(tf.where(shown, batch.tgt[:, None], 0), -1)  # [B, L]; PAD, 0, is no target token.
      states, links = graph(tf.where(told > 0, told, canvas))
      log_prob = loss.forced(self.emissions(states, batch.tgt), shown, self.config.force)
    else:
      states, links = graph(canvas)
      log_prob = self.emissions(states, batch.tgt)
    return types.Loss(loss.terms(links, log_prob, vertices, masking.lengths(batch.tgt), batch.weight))

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(y | x) over all paths, float32 [B]; -inf for a target longer than its graph."""
    canvas, vertices = self.canvas(src)
    return self.marginals(self.graph(canvas, vertices, self.net.encode(src)), vertices, tgt[:, None])[:, 0]

  def marginals(self, graph: tuple[tf.Tensor, tf.Tensor], vertices: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(y | x) as `score`, of N targets per graph: int32 [B, N, T] -> float32 [B, N]."""
    (states, links), shape, lengths = graph, tf.shape(tgt), tf.reshape(masking.lengths(tgt), [-1])
    log_prob = self._said(states, tf.reshape(tgt, [shape[0], -1]))  # [B, L, N T]
    log_prob = tf.reshape(log_prob, [shape[0], -1, shape[1], shape[2]])
    log_prob = tf.transpose(log_prob, [0, 2, 1, 3])
    log_prob = tf.reshape(log_prob, [shape[0] * shape[1], -1, shape[2]])  # [B N, L, T]
    links, vertices = (tf.repeat(x, shape[1], 0) for x in (links, vertices))
    found = dag.log_likelihood(links, log_prob, vertices, lengths)
    found = tf.where(dag.feasible(vertices, lengths) | (lengths == 0), found, -float("inf"))
    return tf.reshape(found, shape[:2])

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the source token whose vertex emits each target token on its best path, float32 [B, T, S]."""
    canvas, vertices = self.canvas(src)
    states, links = self.graph(canvas, vertices, self.net.encode(src))
    path = dag.best_path(links, self._said(states, tgt), vertices, masking.lengths(tgt))  # [B, T]
    return alignment.copied(path // self.config.upsample, tgt, tf.shape(src)[1])

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Runs one decoder pass and a search in its graph; `rescore`, or the graph itself, ranks the candidates."""
    canvas, vertices = self.canvas(src)
    states, links = self.graph(canvas, vertices, self.net.encode(src))
    best = self.net.best_tokens(states, (*tokens_lib.forbidden(search.unknown), types.EOS, types.MASK))
    graph, longest = decode.Graph(links, *best, vertices), self.config.net.max_length
    if search.method in WALKS:
      found = decode.walk(graph, longest, lookahead=search.method == "lookahead", collapse=search.collapse)
    else:
      found = decode.viterbi(
        graph, longest, joint=search.method == "joint", penalty=search.penalty, candidates=search.candidates,
        collapse=search.collapse)
    if rescore is not None:
      return length_parallel.ranked(found, rescore, alpha=search.alpha)
    return self.ranked(found, (states, links), vertices, search)

  def ranked(
      self, found: types.Translation, graph: tuple[tf.Tensor, tf.Tensor], vertices: tf.Tensor,
      search: Search) -> types.Translation:
    """Returns the candidates ranked as `Search.rank` requests, without another decoder pass.

      path        in the order of the search, by the best path of each
      paths       by log p(y | x), the sum over all paths, divided by the length penalty
      consensus   by their agreement with the n-grams that the graph is expected to produce, see `decode/consensus.py`
    """
    if search.rank == "paths":
      own = lambda tokens: self.marginals(graph, vertices, tokens)
      return length_parallel.ranked(found, own, alpha=search.alpha, passes=0)
    if search.rank == "consensus":
      states, links = graph

      def expect(tokens):
        counts, totals = dag.expected(links, self._said(states, tokens), vertices, consensus.ORDER)
        return counts, totals[0]

      return consensus.ranked(found, expect)
    return found

  def _said(self, states, tokens):
    """Returns log p of tokens int32 [B, T] at each vertex, float32 [B, L, T]; not differentiable."""
    return emissions_lib.exact_log_probs(states, self.net.embed.table, self.net.embed.bias, tokens)
