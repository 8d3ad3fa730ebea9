"""Translates, scores and evaluates strings with a trained run, in Python. The programs use it too.

  import tf_nar
  model = tf_nar.load("runs/nat", "search.candidates=9", rescore_with="runs/ar")
  model.translate(["a low house"])

See docs/python.md for more.
"""
import functools
import itertools
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence, overload

import numpy as np

from tf_nar import config as config_lib
from tf_nar import recipe
from tf_nar import runs
from tf_nar.evaluate import corpus
from tf_nar.evaluate import drafting
from tf_nar.evaluate import ensemble
from tf_nar.evaluate import lines
from tf_nar.evaluate import of_tokens
from tf_nar.evaluate import quality
from tf_nar.evaluate import report
from tf_nar.evaluate import rescoring
from tf_nar.evaluate import shortlisting
from tf_nar.evaluate import testset
from tf_nar.evaluate import total_correlation
from tf_nar.evaluate import tracing
from tf_nar.evaluate import unknown
from tf_nar.train import strategy

TOKENS = 8192  # Padded source tokens per batch, counted once for each candidate of a decoder pass.
UNKNOWN = "search.unknown=True"  # The override by which translations may have unknown words.


class Candidate(NamedTuple):
  """One translation of a sentence."""

  text: str
  score: float  # The score that the search ranked by; higher is better.


class Evaluation(NamedTuple):
  """A translated test set and its measures; str() gives a table."""

  hypotheses: list[str]
  rows: list[report.Row]  # The measures, each with an explanation.

  @property
  def values(self) -> dict[str, float]:
    """{name of a row, such as bleu_detokenized: its value}."""
    return {row.name: row.value for row in self.rows}

  def __str__(self):
    return report.table(self.rows)


class Translator:
  """Translates, scores and evaluates with one run.

  Attributes:
    run: the `runs.Run`, with its `experiment`, `model` and `vocab`.
    teacher: the run that ranks the candidates, or None.
    copier: an `unknown.Copier`, or None.
  """

  def __init__(self, run: runs.Run, teacher: runs.Run | None = None, tokens_per_batch: int = TOKENS,
               copy_unknown: bool = False):
    """Args:
      run: the run that translates.
      teacher: a run, such as an AR one, that ranks the candidates of each sentence; None: `run` ranks its own.
      tokens_per_batch: padded source tokens per batch.
      copy_unknown: whether source tokens take the place of UNK, which the run's search must allow.

    Raises:
      ValueError: for `copy_unknown` if the family has no alignment.
    """
    self.run, self.teacher = run, teacher
    self._tokens, self._longest = tokens_per_batch, run.experiment.model.net.max_length
    # Graphs are kept, as they take time to trace.
    self._searchers, self._graphs, self._score = {}, {}, corpus.scorer(run.model)
    self.copier = unknown.Copier(run, tokens_per_batch) if copy_unknown else None

  def __repr__(self):
    ranked = f" ranked by {self.teacher.workdir}" if self.teacher else ""
    return f"<Translator of {self.run.workdir}, family {self.run.experiment.family}{ranked}>"

  @overload
  def translate(self, texts: str) -> str: ...

  @overload
  def translate(self, texts: Iterable[str]) -> list[str]: ...

  def translate(self, texts: str | Sequence[str]) -> str | list[str]:
    """Returns the best translation of each sentence, in order; for a single string, a string.

    An empty sentence gives an empty translation. A sentence longer than the model takes is cut, with a warning.
    """
    if isinstance(texts, str):
      return self.translate([texts])[0]
    return [found[0].text if found else "" for found in map(self._spelt, self.stream(texts))]

  def nbest(self, texts: Iterable[str], count: int) -> list[list[Candidate]]:
    """Returns at most `count` different candidates of each sentence, best first, widening the search if needed."""
    if isinstance(texts, str):
      raise ValueError("nbest expects a list of sentences; got a string, so give [text].")
    return [self._spelt(found)[:count] for found in self.stream(texts, nbest=count)]

  def score(self, sources: Iterable[str], targets: Iterable[str]) -> list[float]:
    """Returns log p(target | source) of each pair in nats, EOS included, without length normalisation.

    A target longer than the model can produce scores -inf.

    Raises:
      ValueError: if the numbers of sources and targets differ.
    """
    sources, targets = list(sources), list(targets)
    if len(sources) != len(targets):
      raise ValueError(f"There must be as many sources as targets; got {len(sources)} and {len(targets)}.")
    return [log_prob for log_prob, _ in self.scored(zip(sources, targets, strict=True))]

  def evaluate(self, sources: Sequence[str], references: Sequence[str],
               progress: Callable[[int], None] | None = None, *, more: Sequence[Sequence[str]] = (),
               tokenize: str | None = None, lowercase: bool = False, ter: bool = False) -> Evaluation:
    """Translates a test set and measures BLEU, chrF, repeated tokens, lengths, speed and NCM.

    Args:
      sources: sentences.
      references: their translations; tokenised if the vocabulary is of tokenised text, as BLEU then is too.
      progress: called with the number of sentences just translated.
      more: further references, for BLEU, chrF and TER.
      tokenize: sacrebleu's tokeniser, instead of that of the vocabulary.
      lowercase: whether upper and lower case are the same, for BLEU, chrF and TER.
      ter: whether to measure TER too, which takes long if translations and references differ much.

    Raises:
      ValueError: if the numbers of sources and references differ, or are 0.
      ImportError: if the tokeniser needs a package that is missing.
    """
    search = self.run.experiment.search
    against = quality.References(
      references, *more, vocab=self.run.vocab, tokenize=tokenize, lowercase=lowercase, ter=ter)
    hypotheses, rows = testset.measure(
      self.searcher(), self.run.vocab, sources, against, longest=self._longest, progress=progress,
      tokens_per_batch=corpus.positions(self.run.model, search, self._tokens),
      limit=corpus.limit(self.run.model, search), copier=self.copier)
    rows += testset.of_references(self.run, self._score, sources, references, tokens_per_batch=self._tokens,
                                  longest=self._longest)
    return Evaluation(hypotheses, rows)

  def searcher(self, nbest: int = 0) -> Callable[[Any], Any]:
    """Returns the search as one graph over token ids, see `corpus.searcher`, widened to at least `nbest` candidates.

    Raises:
      ValueError: if the teacher cannot rank its candidates.
    """
    search = self.run.experiment.search.with_candidates(nbest)
    if search not in self._searchers:
      self._searchers[search] = corpus.searcher(self.run.model, search, self.ranker(search))
    return self._searchers[search]

  def ranker(self, search: Any) -> Callable | None:
    """Returns the function by which the teacher scores candidates, see `rescoring.by`; None without a teacher."""
    return rescoring.by(self.teacher, self.run, search) if self.teacher else None

  def tracer(self) -> Callable[[Any], Any] | None:
    """Returns the search with its passes as one graph, see `tracing.searcher`; None if the family has no passes."""
    model, search = self.run.model, self.run.experiment.search
    return tracing.searcher(model, search, self.ranker(search)) if "trace" in model.traits.offers else None

  def ids(self, texts: Iterable[str]) -> Iterator[list[int]]:
    """Yields the token ids of sentences with EOS, cut to the longest input of the model."""
    return lines.encode(texts, self.run.vocab, self._longest)

  def stream(self, texts: Iterable[str], *, nbest: int = 0, window: int = corpus.WINDOW,
             progress: Callable[[int], None] | None = None) -> Iterator[list[corpus.Candidate]]:
    """Returns an iterator over the candidates of each sentence, as token ids, for more text than memory holds.

    Args:
      texts: sentences, read `window` at a time.
      nbest: least number of candidates per sentence; 0: as many as the search is set to.
      window: number of sentences that are read, sorted by length and translated together; 1 translates each at once.
      progress: called with the number of sentences just translated.

    Raises:
      ValueError: before anything is read, if the teacher cannot rank the candidates of the search.
    """
    texts, again = itertools.tee(texts)
    ids, own = itertools.tee(self.ids(texts))
    found = self.stream_ids(ids, nbest=nbest, window=window, progress=progress)
    return corpus.stream(self.copier, zip(again, own, found, strict=True), window) if self.copier else found

  def stream_ids(self, sources: Iterable[list[int]], *, nbest: int = 0, window: int = corpus.WINDOW,
                 progress: Callable[[int], None] | None = None) -> Iterator[list[corpus.Candidate]]:
    """Does what `stream` does, for sentences as token ids, which `ids` makes; UNK stays in them."""
    search = self.run.experiment.search.with_candidates(nbest)
    work = functools.partial(
      corpus.translate, self.searcher(nbest), tokens_per_batch=corpus.positions(self.run.model, search, self._tokens),
      longest=self._longest, progress=progress, limit=corpus.limit(self.run.model, search))
    return corpus.stream(work, sources, window)

  def scored(self, pairs: Iterable[tuple[str, str]],
             progress: Callable[[int], None] | None = None) -> Iterator[tuple[float, int]]:
    """Yields (log p(target | source), tokens of the target with EOS) of each pair; reads in windows, as `stream`."""
    def work(some):
      found = corpus.score(self._score, some, tokens_per_batch=self._tokens, longest=self._longest, progress=progress)
      return zip(map(float, found), [len(target) for _, target in some], strict=True)

    return corpus.stream(work, lines.encode_pairs(pairs, self.run.vocab, self._longest))

  def token_scores(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
    """Returns log p of each token of the targets, for pairs of ids (source, target); see `of_tokens.scores`."""
    return of_tokens.scores(self.run, pairs, self._graphs, self._tokens)

  def alignments(self, pairs: Sequence[tuple[list[int], list[int]]]) -> list[np.ndarray | None]:
    """Returns the share of each source token in each target token; see `of_tokens.alignments`."""
    return of_tokens.alignments(self.run, pairs, self._graphs, self._tokens)

  def total_correlation(self, teacher: "Translator", sources: Sequence[str],
                        targets: Sequence[str] | Sequence[list[int]]) -> list[report.Row]:
    """Returns the conditional total correlation of a text as rows; see `evaluate/total_correlation.py`.

    Args:
      teacher: a translator of an autoregressive run with the same vocabulary.
      sources, targets: see `total_correlation.of_texts`, which also says what is refused.
    """
    return total_correlation.of_texts(
      (self.run, self._score), (teacher.run, teacher._score), sources, targets, tokens_per_batch=self._tokens)

  def _spelt(self, found):
    return [Candidate(self.run.vocab.decode(tokens), score) for tokens, score in found]


def opened(names: str, overrides: Sequence[str] = (), *, translates: bool = False, draft_with: str = "",
           shortlist: str = "") -> runs.Run:
  """Opens a finished run; or several, with commas between, as one, see `ensemble.joined`.

  Args:
    names: run folders.
    overrides: see `runs.load`; they apply to each run.
    translates, draft_with: see `ensemble.joined` and `drafting.by`; `drafting.settings` are the drafter's.
    shortlist: a file for it or, if there is one, for the drafter, see `shortlisting.by`; "": none.

  Raises: as `runs.load`, `ensemble.joined`, `drafting.by` and `shortlisting.by`.
  """
  own = [each for each in overrides if not draft_with or not each.startswith(drafting.PREFIX)]
  run = ensemble.joined([runs.load(name, own) for name in names.split(",")], translates=translates)
  short = lambda run: shortlisting.by(run, shortlist) if shortlist else run
  return drafting.by(run, short(runs.load(draft_with, drafting.settings(overrides)))) if draft_with else short(run)


def load(workdir: str, *settings: str, rescore_with: str | None = None, draft_with: str = "", shortlist: str = "",
         tokens_per_batch: int = TOKENS, copy_unknown: bool = False) -> Translator:
  """Opens a finished run.

  Args:
    workdir: the run folder; or several of autoregressive runs, with commas between, which translate together by the
      mean of their log p for each next token.
    *settings: overrides of its search, such as "search.beam=1".
    rescore_with: the folder of a run, such as the AR teacher, that ranks the candidates; or several, with commas
      between, which rank by the mean of their log p.
    draft_with: the folder of a NAR run that drafts the translations, which the autoregressive run of `workdir` checks:
      the result is its greedy translation, sooner.
    shortlist: a file of data_prep/shortlist.py: the NAR run chooses among the words that a sentence may need.
    tokens_per_batch: padded source tokens per batch.
    copy_unknown: whether translations may have unknown words, each of which is copied from the source.

  Raises: as `opened`; ValueError if the teacher cannot rank the candidates, or for `copy_unknown` as `Translator`.
  """
  settings += (UNKNOWN,) * copy_unknown
  run = opened(workdir, settings, translates=True, draft_with=draft_with, shortlist=shortlist)
  model = Translator(run, opened(rescore_with) if rescore_with else None, tokens_per_batch, copy_unknown)
  model.searcher()  # Raises now what the first translation would raise.
  return model


def train(config: str | Sequence[str] | config_lib.Experiment, data_dir: str, workdir: str, *settings: str,
          warm_start: str | None = None, original_dir: str | None = None, tpu: str = "") -> Translator:
  """Trains a run to its end, resuming one that was stopped, and opens it.

  Args:
    config: the name of a config, such as "ar_multi30k"; a file that defines get_config(); a list of either and files of
      settings, see `config.load`; or a `config.Experiment`.
    data_dir: a data folder.
    workdir: the run folder; made if missing.
    *settings: overrides, such as "train.steps=500".
    warm_start: a finished run whose weights to start from.
    original_dir: the data folder of phases that train on the original text, if `data_dir` holds a distilled one.
    tpu: see `strategy.build`.

  Raises: as `config.load` and `recipe.run`; `preemption.Preempted` if told to stop, after saving a checkpoint.
  """
  is_made = isinstance(config, config_lib.Experiment)
  experiment = config_lib.override(config, *settings) if is_made else config_lib.load(
    config, config_lib.Experiment, settings, data_dir)
  with strategy.build(tpu).scope():
    recipe.run(experiment, data_dir, workdir, original_dir=original_dir, warm_start=warm_start)
  return load(workdir)  # Outside of the strategy's scope, as translation runs on one device.
