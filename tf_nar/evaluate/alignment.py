"""Word alignments of translations, in Pharaoh's format `0-0 1-2`: source word - target word, counted from 0."""
from typing import Any, Sequence

import numpy as np

from tf_nar import types
from tf_nar.data import words
from tf_nar.evaluate import plots


def pharaoh(weights: np.ndarray | None, source: str, ids: Sequence[int | str], vocab: Any) -> str:
  """Returns the alignment of a translation in Pharaoh's format, sorted by source word.

  Each target token is linked to the source token with the greatest weight; a word has the links of its tokens.

  Args:
    weights: float [T, S], of the tokens of the translation and those of the source, EOS included; None: not known.
    source: the source sentence as text.
    ids: the ids of the translation.
    vocab: the vocabulary of the run.
  """
  if weights is None:
    return ""
  of_source = words.numbers(vocab.source.split(source), vocab.source.tokenized)
  nonempty = [at for at, token in enumerate(ids) if token not in (types.EOS, types.PAD, types.BOS)]
  of_target = words.numbers(vocab.spell([ids[at] for at in nonempty]), vocab.tokenized)
  links = set()
  for at, word in zip(nonempty, of_target, strict=True):
    best = int(np.argmax(weights[at]))
    if weights[at][best] > 0 and best < min(len(of_source), len(weights[at]) - 1):  # Not to the source's EOS.
      links.add((of_source[best], word))
  return " ".join(f"{one}-{other}" for one, other in sorted(links))


def draw(path: str, weights: np.ndarray, source: Sequence[str], target: Sequence[str]) -> None:
  """Draws weights float [T, S] of target and source tokens, two lists of strings, to a PNG file.

  Raises:
    ImportError: if matplotlib is not installed.
  """
  size = max(3, 0.35 * len(source) + 1.5), max(2.5, 0.3 * len(target) + 1.5)
  with plots.drawing(path, size=size) as axes:
    axes.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(target)), target)
    axes.xaxis.tick_top()
    axes.set_xlabel("source")
    axes.set_ylabel("translation")
