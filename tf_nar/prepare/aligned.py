"""Makes a copy of a data folder with fertilities, for models of the family `nat_fertility`."""
import itertools
from typing import NamedTuple

from tf_nar import display
from tf_nar.data import atomic
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.prepare import fast_align

_WINDOW = 20_000  # Pairs that are aligned and written at a time, which limits memory.


class Report(NamedTuple):
  """The statistics of an alignment."""

  pairs: int
  learned_from: int  # Number of pairs that the lexicon was estimated from.
  log_likelihoods: list  # log p per target token, before each iteration.
  fertilities: dict  # Fertility -> number of source tokens, without EOS.


def align(data_dir: str, out: str, iterations: int = 5, learn_pairs: int = 500_000) -> Report:
  """Makes the data folder `out`: the records of `data_dir` in their order, each with its fertilities.

  The result depends on the folder and the options only.

  Args:
    data_dir: a data folder.
    out: the new folder; it appears when it is complete.
    iterations: iterations of EM.
    learn_pairs: number of pairs to estimate the lexicon from, evenly spread; they are held in memory. 0: all.

  Returns:
    A `Report`.

  Raises:
    FileExistsError: if `out` is not empty.
    FileNotFoundError: if `data_dir` is not a data folder.
    ValueError: for options out of range, or if no pair has a token on both sides.
  """
  atomic.check_free(out)
  lexicon, likelihoods, bare = learn(data_dir, iterations, learn_pairs)
  total, counts = corpus.read(data_dir).splits["train"].pairs, {}
  with _bar(total, "align") as bar:
    corpus.derive(data_dir, out, _aligned(data_dir, lexicon, counts, bar), len(corpus.shards(data_dir)))
  return Report(total, len(bare), likelihoods, dict(sorted(counts.items())))


def learn(data_dir: str, iterations: int, learn_pairs: int) -> tuple[fast_align.Lexicon, list[float], list]:
  """Returns the results of `fast_align.learn` for a data folder, and the pairs without EOS; see `align`."""
  if iterations < 1 or learn_pairs < 0:
    raise ValueError(f"--iterations must be at least 1 and --learn_pairs at least 0 (all pairs); got {iterations} and "
                     f"{learn_pairs}.")
  manifest = corpus.read(data_dir)
  step = -(-manifest.splits["train"].pairs // learn_pairs) if learn_pairs else 1
  bare = [(pair.src[:-1], pair.tgt[:-1]) for pair in itertools.islice(_pairs(data_dir), 0, None, step)]
  with _bar(len(bare) * (iterations + 1), "learn") as bar:
    return *fast_align.learn(bare, manifest.vocabulary_size, iterations, progress=bar.update), bare


def _pairs(folder):
  """Yields the pairs in the order in which `corpus.Writer` distributed them over the shards."""
  for row in itertools.zip_longest(*map(records.read, corpus.shards(folder))):
    yield from (pair for pair in row if pair is not None)


def _aligned(folder, lexicon, counts, bar):
  """Yields the pairs with their fertilities, and counts the fertilities of tokens other than EOS in `counts`."""
  pairs = _pairs(folder)
  while window := list(itertools.islice(pairs, _WINDOW)):
    bare = [(pair.src[:-1], pair.tgt[:-1]) for pair in window]
    nonempty = [n for n, (source, target) in enumerate(bare) if source and target]
    positions = dict(zip(nonempty, fast_align.align([bare[n] for n in nonempty], lexicon), strict=True))
    for n, pair in enumerate(window):
      found = fast_align.fertility((pair.src, pair.tgt), positions.get(n, []))
      for each in found[:-1]:
        counts[each] = counts.get(each, 0) + 1
      yield pair._replace(fertility=found)
    bar.update(len(window))


def _bar(total, what):
  return display.bar(what, total, unit="pairs")


def summary(report: Report, out: str) -> str:
  """Returns the summary of the new folder that is printed, with the next command."""
  words = sum(report.fertilities.values())
  shares = ", ".join(f"{n}: {100 * report.fertilities.get(n, 0) / words:.1f} %" for n in range(4)) if words else "none"
  likelihoods = " ".join(f"{each:.3f}" for each in report.log_likelihoods)
  return "\n".join([
      f"{out}: {report.pairs} aligned pairs; the lexicon was estimated from {report.learned_from}.",
      f"log p per target token, by iteration: {likelihoods}.",
      f"Fertilities of tokens: {shares}; the greatest is {max(report.fertilities, default=0)}.",
      f"Next: python bin/train.py --config=configs/nat_fertility_multi30k.py --data_dir={out} --workdir=runs/...",
  ])
