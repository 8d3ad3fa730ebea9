"""A plot of the Gaussian latents of one sentence, and of how a search refines them, in their two principal axes."""
from typing import Any, Iterable, Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from tf_nar import types
from tf_nar.evaluate import lines
from tf_nar.evaluate import plots


def watching(run: Any, sources: Iterable[str], path: str, reference: str = "") -> Iterator[str]:
  """Returns an iterator over `sources`, strings, that draws the first of them that has tokens to the PNG file `path`.

  Args:
    run: a `runs.Run`.
    sources: sentences.
    path: the file.
    reference: a translation of that sentence, whose posterior is shown too; "": none.

  Raises:
    ValueError: now, if the family has no such latents, or the reference no tokens.
  """
  if "latents" not in run.model.traits.offers:
    raise ValueError(f"{run.workdir} is of family {run.experiment.family}, which has no Gaussian latents that a search "
                     "refines; use lanmt or lanmt_score.")
  longest = run.experiment.model.net.max_length
  if reference and not run.vocab.encode(reference):
    raise ValueError(f"The reference of a plot of latents must have tokens; got {reference!r}; leave it out.")

  def through():
    waits = True
    for source in sources:
      if waits and (tokens := run.vocab.source.encode(source)):
        waits = False
        tokens = lines.ended(tokens, longest)
        tgt = tf.constant([lines.ended(run.vocab.encode(reference), longest)]) if reference else None
        search = run.experiment.search
        draw(path, run.model.latents(tf.constant([tokens]), search, tgt), search.temperature)
      yield source
    if waits:
      logging.warning("No line has tokens, so there is no plot of latents at %s; give one that has.", path)

  return through()


def projected(found: types.Latents) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """Projects the latents of the first sentence of a `types.Latents` to their two principal axes.

  All kinds of points have the same weight, so that many draws do not hide the steps; the mean of the prior is at 0.

  Returns:
    {label: float [P, 2]}, and the share of the variance along each axis, float [2].
  """
  kinds = {"draws from the prior": found.draws[0]}
  kinds |= {f"{name} steps": walk[0] for name, walk in found.walks.items()}
  kinds |= {} if found.posterior is None else {"posterior of the reference": found.posterior[:1]}
  origin = np.ravel(found.prior[0])
  plane = [(0, 0), (0, max(0, 2 - len(origin)))]  # A single latent has no second axis of its own.
  points = {name: np.pad(np.reshape(each, [len(each), -1]) - origin, plane) for name, each in kinds.items()}
  weighted = np.concatenate([each / len(each)**0.5 for each in points.values()])
  _, sizes, axes = np.linalg.svd(weighted, full_matrices=False)
  return {name: each @ axes[:2].T for name, each in points.items()}, sizes[:2]**2 / max(np.sum(sizes**2), 1e-12)


def draw(path: str, found: types.Latents, temperature: float) -> None:
  """Draws the latents of the first sentence of a `types.Latents`, of draws at `temperature`, to the PNG file `path`.

  Raises:
    ImportError: if matplotlib is not installed.
  """
  points, shares = projected(found)
  with plots.drawing(path, size=(7, 5)) as axes:
    for name, each in points.items():
      if name.endswith("steps"):
        axes.plot(*each.T, marker=".", label=name)
        for number, point in enumerate(each):
          axes.annotate(str(number), point, fontsize=8, xytext=(3, 3), textcoords="offset points")
      elif name.startswith("draws"):
        axes.scatter(*each.T, s=8, color="lightgrey", label=f"{name}, τ {temperature:g}")
      else:
        axes.scatter(*each.T, marker="*", s=120, color="black", label=name)
    axes.scatter(0, 0, marker="o", s=60, facecolors="none", edgecolors="black", label="mean of the prior")
    axes.set_xlabel(f"first principal axis, {shares[0]:.0%} of the variance")
    axes.set_ylabel(f"second, {shares[1]:.0%}")
    axes.set_title(f"Latents of one sentence, at {found.prior.shape[1]} positions")
    axes.legend(fontsize=8)
