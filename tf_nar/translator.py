"""A trained run as an object of Python: strings in, strings out. The programs go through it too.

  import tf_nar
  model = tf_nar.load("runs/nat", "search.candidates=9", rescore_with="runs/ar")
  model.translate(["a low house"])

docs/python.md has the rest.
"""
import functools
from typing import Callable, Iterable, Iterator, NamedTuple, Sequence, overload

from tf_nar import config as config_lib
from tf_nar import recipe
from tf_nar import runs
from tf_nar.evaluate import corpus
from tf_nar.evaluate import lines
from tf_nar.evaluate import report
from tf_nar.evaluate import rescoring
from tf_nar.evaluate import testset
from tf_nar.train import strategy

TOKENS = 8192  # Padded source tokens a batch, over all candidates of one pass.


class Candidate(NamedTuple):
  """One translation of a sentence."""

  text: str
  score: float  # What the search ranked by, higher is better.


class Evaluation(NamedTuple):
  """A translated test set and what was measured of it; as a string, a table."""

  hypotheses: list[str]
  rows: list[report.Row]  # Each with what it means.

  @property
  def values(self) -> dict[str, float]:
    """The numbers alone, by the names of the rows, as bleu_detokenized."""
    return {row.name: row.value for row in self.rows}

  def __str__(self):
    return report.table(self.rows)


class Translator:
  """Translates, scores and measures with one run.

  Attributes:
    run: the `runs.Run`, with its `experiment`, `model` and `vocab`.
    teacher: the run that ranks the candidates, or None.
  """

  def __init__(self, run: runs.Run, teacher: runs.Run | None = None, tokens_per_batch: int = TOKENS):
    """Args:
      run: what translates.
      teacher: a run, as an AR one, that chooses among the candidates of each sentence; None leaves that to `run`.
      tokens_per_batch: padded source tokens a batch.
    """
    self.run, self.teacher = run, teacher
    self._tokens, self._longest = tokens_per_batch, run.experiment.model.net.max_length
    self._searchers, self._score = {}, corpus.scorer(run.model)  # Graphs, which take time to trace.

  def __repr__(self):
    ranked = f" ranked by {self.teacher.workdir}" if self.teacher else ""
    return f"<Translator of {self.run.workdir}, family {self.run.experiment.family}{ranked}>"

  @overload
  def translate(self, texts: str) -> str: ...

  @overload
  def translate(self, texts: Iterable[str]) -> list[str]: ...

  def translate(self, texts):
    """Returns the best translation of each sentence, in order; of one string, a string.

    An empty sentence gives an empty one, one longer than the model takes is cut, with a warning.
    """
    if isinstance(texts, str):
      return self.translate([texts])[0]
    return [found[0].text if found else "" for found in map(self._spelt, self.stream(texts))]

  def nbest(self, texts: Iterable[str], count: int) -> list[list[Candidate]]:
    """Returns at most `count` different candidates of each sentence, best first; the search may widen for it."""
    if isinstance(texts, str):
      raise ValueError("nbest wants a list of sentences, as [text].")
    return [self._spelt(found)[:count] for found in self.stream(texts, nbest=count)]

  def score(self, sources: Iterable[str], targets: Iterable[str]) -> list[float]:
    """Returns log p of each target given its source, in nats: EOS is counted, nothing is divided by lengths.

    A target longer than the model can say has -inf.

    Raises:
      ValueError: for different counts.
    """
    sources, targets = list(sources), list(targets)
    if len(sources) != len(targets):
      raise ValueError(f"There must be as many sources as targets; got {len(sources)} and {len(targets)}.")
    return [log_prob for log_prob, _ in self.scored(zip(sources, targets, strict=True))]

  def evaluate(self, sources: Sequence[str], references: Sequence[str],
               progress: Callable[[int], None] | None = None) -> Evaluation:
    """Translates a test set and measures it: BLEU, chrF, repeats, lengths, speed, NCM.

    Args:
      sources: sentences.
      references: their translations; tokenised where the vocabulary is of tokenised text, as then BLEU is too.
      progress: called with the number of sentences just done.

    Raises:
      ValueError: for different counts, or none.
    """
    search = self.run.experiment.search
    hypotheses, rows = testset.measure(
      self.searcher(), self.run.vocab, sources, references, longest=self._longest, progress=progress,
      tokens_per_batch=corpus.positions(self.run.model, search, self._tokens),
      limit=corpus.limit(self.run.model, search))
    rows += testset.surprise(self._score, self.run.vocab, sources, references,
                             tokens_per_batch=self._tokens, longest=self._longest)
    return Evaluation(hypotheses, rows)

  def searcher(self, nbest: int = 0):
    """Returns the search as one graph of ids, as `corpus.searcher` does, widened to `nbest` candidates.

    Raises:
      ValueError: where the teacher cannot rank what it finds.
    """
    search = self.run.experiment.search.with_candidates(nbest)
    if search not in self._searchers:
      self._searchers[search] = corpus.searcher(self.run.model, search, self.ranker(search))
    return self._searchers[search]

  def ranker(self, search):
    """Returns the teacher's scores of candidates, as `rescoring.by` does; None without a teacher."""
    return rescoring.by(self.teacher, self.run, search) if self.teacher else None

  def ids(self, texts: Iterable[str]) -> Iterator[list[int]]:
    """Yields the ids of sentences with EOS, cut to what the model takes."""
    return lines.encode(texts, self.run.vocab, self._longest)

  def stream(self, texts: Iterable[str], *, nbest: int = 0, window: int = corpus.WINDOW,
             progress: Callable[[int], None] | None = None) -> Iterator[list[corpus.Candidate]]:
    """Returns an iterator over the candidates of each sentence, as ids, for more text than memory holds.

    Args:
      texts: sentences, read `window` at a time.
      nbest: how many candidates the search is to find at least; 0: as many as it does.
      window: sentences that are read, sorted by length and translated together; 1 answers at once.
      progress: called with the number of sentences just done.

    Raises:
      ValueError: at once, where the teacher cannot rank what the search finds.
    """
    search = self.run.experiment.search.with_candidates(nbest)
    work = functools.partial(
      corpus.translate, self.searcher(nbest), tokens_per_batch=corpus.positions(self.run.model, search, self._tokens),
      longest=self._longest, progress=progress, limit=corpus.limit(self.run.model, search))
    return corpus.stream(work, self.ids(texts), window)

  def scored(self, pairs: Iterable[tuple[str, str]],
             progress: Callable[[int], None] | None = None) -> Iterator[tuple[float, int]]:
    """Yields log p of each (source, target), and the tokens of the target with EOS; as `stream` reads."""
    def work(some):
      found = corpus.score(self._score, some, tokens_per_batch=self._tokens, longest=self._longest, progress=progress)
      return zip(map(float, found), [len(target) for _, target in some], strict=True)

    return corpus.stream(work, lines.encode_pairs(pairs, self.run.vocab, self._longest))

  def _spelt(self, found):
    return [Candidate(self.run.vocab.decode(tokens), score) for tokens, score in found]


def load(workdir: str, *settings: str, rescore_with: str | None = None, tokens_per_batch: int = TOKENS) -> Translator:
  """Opens a finished run.

  Args:
    workdir: the run folder.
    *settings: of its search, as "search.beam=1".
    rescore_with: a run folder, as of the AR teacher, that ranks the candidates.
    tokens_per_batch: padded source tokens a batch.

  Raises:
    ValueError: if there is no finished run, a setting does not fit, or the teacher cannot rank what the search finds.
  """
  model = Translator(runs.load(workdir, settings), runs.load(rescore_with) if rescore_with else None, tokens_per_batch)
  model.searcher()  # Refuses now what it would refuse later.
  return model


def train(config: str | config_lib.Experiment, data_dir: str, workdir: str, *settings: str,
          warm_start: str | None = None, original_dir: str | None = None, tpu: str = "") -> Translator:
  """Trains a run to its end, or goes on with one that was stopped, and opens it.

  Args:
    config: the name of a config, as "ar_multi30k"; a file that defines get_config(); or the `config.Experiment`.
    data_dir: a data folder.
    workdir: the run folder; made if missing.
    *settings: overrides, as "train.steps=500".
    warm_start: a finished run whose weights to start from.
    original_dir: the data folder of phases that learn the original text, where `data_dir` is a distilled one.
    tpu: as `strategy.build` takes it.

  Raises:
    As `config.load` and `recipe.run`; `preemption.Preempted` if it was told to stop, after saving.
  """
  if isinstance(config, config_lib.Experiment):
    experiment = config_lib.override(config, *settings)
  else:
    experiment = config_lib.load(config, config_lib.Experiment, settings, data_dir)
  with strategy.build(tpu).scope():
    recipe.run(experiment, data_dir, workdir, original_dir=original_dir, warm_start=warm_start)
  return load(workdir)  # Outside of the strategy: it translates on one device.
