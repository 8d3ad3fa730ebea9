"""Makes a shortlist of the vocabulary from a data folder, see `data/shortlist.py`."""
import numpy as np

from tf_nar import types
from tf_nar.data import atomic
from tf_nar.data import shortlist
from tf_nar.data import vocab as vocab_lib
from tf_nar.prepare import aligned
from tf_nar.prepare import fast_align


def make(data_dir: str, out: str, *, each: int, frequent: int, iterations: int = 5,
         learn_pairs: int = 500_000) -> float:
  """Writes the shortlist of a data folder.

  Args:
    data_dir: a data folder.
    out: the file.
    each: translations of each source token, those with the greatest t(e | f) of `fast_align`.
    frequent: the number of most frequent tokens that every sentence gets.
    iterations, learn_pairs: see `aligned.align`.

  Returns:
    The share of target tokens that are on the shortlists of their sentences.

  Raises:
    ValueError: for numbers out of range, or if `out` is a folder.
    FileNotFoundError: if `data_dir` is not a data folder.
  """
  if each < 1 or frequent < 1:
    raise ValueError(f"--each and --frequent must be at least 1; got {each} and {frequent}.")
  atomic.check_no_folder(out)
  lexicon, _, pairs = aligned.learn(data_dir, iterations, learn_pairs)
  vocab = vocab_lib.load(data_dir)
  count = np.bincount(np.concatenate([target for _, target in pairs]).astype(int), minlength=len(vocab))
  common = np.union1d(np.arange(len(types.SPECIALS)), np.argsort(-count, kind="stable")[:frequent])
  found = likeliest(lexicon, vocab.source_size or len(vocab), each)
  shortlist.write(out, shortlist.Shortlist(found, common.astype(np.int32), np.array(vocab.sha256)))
  there = sum(np.isin(target, np.concatenate([common, found[source].ravel()])).sum() for source, target in pairs)
  return float(there / count.sum())


def likeliest(lexicon: fast_align.Lexicon, size: int, each: int) -> np.ndarray:
  """Returns the likeliest translations of each of `size` source tokens, int32 [size, each]; EOS where there are fewer.
  """
  source, target = np.divmod(lexicon.keys, lexicon.words)
  order = np.lexsort((-lexicon.prob, source))
  source, target = source[order], target[order]
  rank = np.arange(len(source)) - np.searchsorted(source, source)
  kept = (rank < each) & (source != types.PAD)  # PAD is the empty word of the lexicon.
  found = np.full([size, each], types.EOS, np.int32)
  found[source[kept], rank[kept]] = target[kept]
  return found
