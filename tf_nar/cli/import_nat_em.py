"""Imports a TensorFlow 1 checkpoint of the original NAT-EM program, AR or NAR, as a run.

  python bin/import_nat_em.py --checkpoint=DIR/model.ckpt-600 --model_config=DIR/model_config.json \\
      --vocab=vocab.txt --workdir=runs/imported

bin/translate.py, bin/score.py, bin/evaluate.py and bin/export.py read the run. Its input must be tokenised and split
by BPE, as the original's was; in the output, subwords marked by `@@ ` are joined.
"""
import os

from tf_nar import config
from tf_nar import program
from tf_nar.data import atomic
from tf_nar.data import paths

flags = program.Flags()

CHECKPOINT = flags.DEFINE_string("checkpoint", None, "The prefix, such as DIR/model.ckpt-600.", required=True)
MODEL_CONFIG = flags.DEFINE_string("model_config", None, "The model_config.json of the same folder.", required=True)
VOCAB = flags.DEFINE_string("vocab", None, "The vocabulary that it was trained with, as `token count` lines.",
                            required=True)
MINIMUM = flags.DEFINE_integer("minimum_count", 5,
                               "Tokens with a lower count are not in the model; the original's value is 5.",
                               lower_bound=0)
WORKDIR = flags.DEFINE_string("workdir", None, "The run folder to make.", required=True)


def import_run(checkpoint: str, model_config: str, vocab: str, minimum: int, workdir: str) -> str:
  """Makes the run folder and returns its family.

  Raises:
    FileExistsError: if the run folder exists and is not empty.
    FileNotFoundError: if a file does not exist.
    ValueError: for a checkpoint of another program, a model_config.json in which a size is missing, or a vocabulary
      of another size.
  """
  import tensorflow as tf

  from tf_nar import models
  from tf_nar import runs
  from tf_nar.models import original
  from tf_nar.prepare import learn
  atomic.check_free(workdir, "--workdir")
  if not tf.io.gfile.exists(checkpoint + ".index"):
    raise FileNotFoundError(
      f"No checkpoint {checkpoint}: there is no {checkpoint}.index; give its prefix, as DIR/model.ckpt-600.")
  reader = tf.train.load_checkpoint(_literal(checkpoint))
  family = original.family(reader.get_variable_to_shape_map())
  for flag, path in (("--model_config", model_config), ("--vocab", vocab)):
    if not tf.io.gfile.exists(path):
      raise FileNotFoundError(f"No file {path}; give as {flag} the file of the original program.")
  try:
    model = original.model_config(model_config, family)
  except KeyError as error:
    raise ValueError(
      f"{model_config} has no {error}; give the model_config.json that the training wrote beside its "
      "checkpoints, not one of the original's configs/.") from error
  words = learn.read_counts(vocab, minimum=minimum)
  if len(words) != model.net.vocab:
    raise ValueError(
      f"{vocab} gives {len(words)} tokens with a count of {minimum} or more, the model has {model.net.vocab}; "
      "give the vocabulary that it was trained with, or another --minimum_count.")
  experiment = config.Experiment(family, model, models.family(family).Search())
  run = runs.create(experiment, words, workdir)
  original.load(run.model, lambda name: reader.get_tensor(f"{original.SCOPES[family]}/{name}"))
  runs.save_weights({v.path: v.numpy() for v in run.model.variables}, workdir)
  return family


def _literal(checkpoint):
  """Returns the prefix with special characters escaped, as TensorFlow treats it as a pattern."""
  folder, name = os.path.split(checkpoint)
  return os.path.join(paths.literal(folder), name)


def make_run() -> None:
  """Imports the checkpoint given by the flags."""
  family = import_run(CHECKPOINT.value, MODEL_CONFIG.value, VOCAB.value, MINIMUM.value, WORKDIR.value)
  print(program.typed(f"Imported a model of family {family}. Translate with:\n"
        f"  python bin/translate.py --workdir={WORKDIR.value}"))


def main(argv: list[str]) -> None:
  import tensorflow as tf
  program.run("import_nat_em", make_run, argv, also=(tf.errors.OpError,))
