"""Exported systems of no size, made without the programs."""
import tensorflow as tf

from tests.export import tiny
from tf_nar import runs
from tf_nar.evaluate import corpus
from tf_nar.export import ct2
from tf_nar.export import metadata
from tf_nar.export import saved_model

VOCAB = tiny.VOCABULARIES["words"]()


def run(folder, family="ar"):
  return tiny.make(folder, family, VOCAB)


def export(workdir, out):
  """Writes a SavedModel, not verified; returns its folder."""
  opened = runs.load(workdir)
  search = corpus.searcher(opened.model, opened.experiment.search)
  tf.saved_model.save(saved_model.build(opened, search), str(out))
  metadata.write(metadata.describe(opened), str(out))
  return str(out)


def export_ct2(workdir, out):
  ct2.export(workdir, str(out))
  return str(out)
