"""A run whose output layer computes the tokens of a shortlist only, a few for each sentence.

Shortlists are of sentences, not of batches, so other sentences never change a translation.
"""
from typing import Any, Callable

import tensorflow as tf

from tf_nar import types
from tf_nar.data import shortlist


class Shortlisted:
  """A model in which `translate` and `trace` choose among the tokens of a shortlist; all else is the model's own."""

  def __init__(self, model, found):
    """Args: model: of a family with `Traits.shortlist`; found: a `shortlist.Shortlist`."""
    self._model, self._found = model, found

  def __getattr__(self, name):
    return getattr(self._model, name)

  def translate(self, src: tf.Tensor, search: Any, rescore: Callable | None = None) -> types.Translation:
    """As the model's, but no other tokens have a probability."""
    with self._model.net.only(self.tokens(src)):
      return self._model.translate(src, search, rescore)

  def trace(self, src: tf.Tensor, search: Any, rescore: Callable | None = None) -> tuple:
    """As the model's, in the same way."""
    with self._model.net.only(self.tokens(src)):
      return self._model.trace(src, search, rescore)

  def tokens(self, src: tf.Tensor) -> tf.Tensor:
    """Returns the tokens of each sentence, int32 [B, F + k S], increasing; some twice."""
    batch = tf.shape(src)[0]
    likely = tf.reshape(tf.gather(self._found.likely, src), [batch, -1])
    return tf.sort(tf.concat([tf.tile(self._found.frequent[None], [batch, 1]), likely], 1))


def by(run: Any, path: str) -> Any:
  """Returns a `runs.Run` that translates with the shortlist of a file.

  Raises:
    ValueError: if its family cannot, or if the file is no shortlist, or one of another vocabulary.
  """
  if not run.model.traits.shortlist:
    raise ValueError(f"{run.workdir} cannot use a shortlist: it is of family {run.experiment.family}, which has no "
                     "single output layer for a whole sentence; leave out --shortlist.")
  found = shortlist.read(path)
  if str(found.vocabulary) != run.vocab.sha256:
    raise ValueError(f"{path} is of another vocabulary than {run.workdir}; make one of its data folder with "
                     "data_prep/shortlist.py.")
  return run._replace(model=Shortlisted(run.model, found), shortlist=path)
