"""Exported systems of tiny models, made without the programs."""
from tests.export import tiny
from tf_nar import runs
from tf_nar.evaluate import corpus
from tf_nar.export import ct2
from tf_nar.export import saved_model

VOCAB = tiny.VOCABULARIES["words"]()


def run(folder, family="ar", **sizes):
  return tiny.make(folder, family, VOCAB, **sizes)


def export(workdir, out):
  opened = runs.load(workdir)
  saved_model.export(opened, corpus.searcher(opened.model, opened.experiment.search), str(out))
  return str(out)


def export_openvino(workdir, out):
  from tf_nar.export import ov
  opened = runs.load(workdir)
  ov.export(opened, corpus.searcher(opened.model, opened.experiment.search), str(out), "float32")
  return str(out)


def export_ct2(workdir, out):
  ct2.export(workdir, str(out))
  return str(out)
