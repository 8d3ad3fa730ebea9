"""Alternates teacher and student: EM for non-autoregressive translation (Sun & Yang, ICML 2020).

  python bin/em.py --config=configs/em_toy.py --workdir=runs/demo
  python bin/em.py --config=configs/em_toy.py --data_dir=data/mine --workdir=runs/mine --set=rounds=2

The same command goes on with a run that was stopped; told to stop (SIGTERM) while it trains it saves and exits with 75.
Settings are changed as --set=student.train.steps=500; --print_config shows them all.

Leaves in WORKDIR: round_R/{teacher,student}, which bin/translate.py and bin/export.py take;
round_R/{distilled,selected}, data folders; em.json and em.png, what was measured.
"""
from absl import logging

from tf_nar import config as config_lib
from tf_nar import program
from tf_nar import settings
from tf_nar.data import paths

flags = program.Flags()

CONFIG = flags.DEFINE_string(
  "config", None, "A name as em_multi30k, or a file whose get_config() returns an Alternation.", required=True)
WORKDIR = flags.DEFINE_string("workdir", None, "Where all is kept; an old run goes on.", required=True)
DATA_DIR = flags.DEFINE_string("data_dir", "", "Made by data_prep/prepare.py; empty: the toy pair.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as rounds=2; may be repeated.")
TPU = flags.DEFINE_string("tpu", "", '"local" on a TPU VM, else its name; empty: GPUs or the CPU.')
EXPORT = flags.DEFINE_string("export", "", "Where to put the last student as a SavedModel; empty: nowhere.")
PRINT_CONFIG = flags.DEFINE_bool(
  "print_config", False, "Prints every setting with --set applied, its value and what it is; does nothing else.",
  spares=("workdir",))

SHOWN = 3  # Lines.

FLOW = """\
  true text -> teacher -> candidates -> distilled -> student -> scores -> selected
                  ^                                                          |
                  +------------------------ next round ----------------------+
"""
NEXT = """
Translate, measure and ship the student of the last round, {student}:

  python bin/translate.py --workdir={student} --input={data}/valid.src
  python bin/evaluate.py --workdir={student} --source={data}/valid.src --reference={data}/valid.tgt
  python bin/export.py --workdir={student} --out={workdir}/saved_model
"""
YOURS = """
Your own text, one sentence a line, with models of a size that suits it:

  python data_prep/prepare.py --source=train.src --target=train.tgt --valid_source=valid.src \\
      --valid_target=valid.tgt --vocab_size=8000 --out=data/mine
  python bin/em.py --config=configs/best.py --data_dir=data/mine --workdir=runs/mine
  python bin/evaluate.py --workdir=runs/mine/round_1/student --source=test.src --reference=test.tgt
  python bin/export.py --workdir=runs/mine/round_1/student --out=runs/mine/saved_model
  tensorboard --logdir=runs/mine
"""


def ship(student, data_dir, out):
  """Exports a student and shows what the SavedModel makes of the first validation lines."""
  import tensorflow as tf

  from tf_nar import runs
  from tf_nar.data import corpus as data_corpus
  from tf_nar.evaluate import corpus
  from tf_nar.export import saved_model
  logging.set_verbosity(logging.WARNING)  # TensorFlow tells much of what it saves.
  run = runs.load(student)
  if not tf.io.gfile.exists(out):
    saved_model.export(run, corpus.searcher(run.model, run.experiment.search), out)
  lines = data_corpus.validation(data_dir)[0][:SHOWN]
  loaded = tf.saved_model.load(paths.literal(out))  # Held: it owns the weights.
  said = loaded.translate(tf.constant(lines))["translation"].numpy()
  print(f"The SavedModel {out} says:\n")
  for line, text in zip(lines, said, strict=True):
    print(f"  {line}\n  -> {text.decode()}\n")


def alternate():
  """Runs the flags' alternation, or shows it."""
  import tensorflow as tf

  from tf_nar.em import config as em_config
  from tf_nar.em import run as run_lib
  from tf_nar.train import strategy
  if PRINT_CONFIG.value:
    print(settings.table(config_lib.load(CONFIG.value, em_config.Alternation, SET.value, DATA_DIR.value)))
    return
  # Every stage traces graphs of its own, which TensorFlow takes for a mistake.
  tf.get_logger().setLevel("ERROR")
  workdir = WORKDIR.value
  # Models are trained by all devices; candidates and scores come from the first.
  if strategy.machines() > 1:  # Before there is a strategy, which would wait for the other machines.
    raise ValueError("An alternation runs on one machine; unset TF_CONFIG. bin/train.py takes several.")
  where = strategy.build(TPU.value)
  alternation = config_lib.load(CONFIG.value, em_config.Alternation, SET.value, DATA_DIR.value)
  print(FLOW)
  with where.scope():
    rows = run_lib.run(alternation, DATA_DIR.value, workdir, tell=lambda text: print(text, flush=True))
  last, data = rows[-1]["round"], DATA_DIR.value or f"{workdir}/data"
  student = f"{workdir}/round_{last}/student"
  if EXPORT.value:
    ship(student, data, EXPORT.value)
  print(program.typed(NEXT.format(student=student, workdir=workdir, data=data) + ("" if DATA_DIR.value else YOURS)))


def main(argv):
  program.run("em", alternate, argv, also=(RuntimeError,))
