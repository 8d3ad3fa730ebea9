"""Trains an AR teacher and a NAR student in turns: EM for non-autoregressive translation (Sun & Yang, ICML 2020).

  python bin/em.py --config=configs/em_toy.py --workdir=runs/demo
  python bin/em.py --config=configs/em_toy.py --data_dir=data/mine --workdir=runs/mine --set=rounds=2

The same command resumes a run that was stopped. On SIGTERM during training it saves and exits with 75.

Several processes share the work, on one machine or on many, if they see the same folder; they need no network. As
jobs of an array, each is started by the same command with its own --job:

  python bin/em.py --config=configs/em_wmt14.py --data_dir=data/wmt14 --workdir=runs/wmt14 --jobs=16 --job=3

All make candidates and scores, each its own shards of the data first (data_prep/prepare.py --shards), then those that
are missing. Job 0 does the rest, while the others wait and say what for. A killed job is started again, or its shards
are made by the others; only job 0 is needed. The result is that of one process.

On machines with a network and a shared disk, start the same command on each, with TF_CONFIG set as for bin/train.py:
they train together, and divide candidates and scores like jobs. The first machine does the rest. If one is stopped,
start the same command again on all that ended; it resumes.

Settings are changed with --set, as --set=student.train.steps=500 or --set=student.model.net=base (a size by name: tiny,
small, base, big), or in files given as further --config; --print_config prints them all. Those of teachers and students
from round 2 on are changed by --set=later_teacher.train.steps=480 and later_student. A teacher that is trained already
begins round 1 with --set=first_teacher=RUN, the name of a pretrained model or its folder.

Writes into WORKDIR: round_R/{teacher,student}, run folders for bin/translate.py and bin/export.py;
round_R/{distilled,selected}, data folders; em.json and em.png, the measures of each round.
"""
import os
import sys

from absl import logging

from tf_nar import config as config_lib
from tf_nar import program
from tf_nar import settings
from tf_nar.data import paths

flags = program.Flags()

CONFIG = flags.DEFINE_multi_string(
  "config", None, "A name as em_multi30k, or a file whose get_config() returns an Alternation." + program.MORE_CONFIGS,
  required=True)
WORKDIR = flags.DEFINE_string("workdir", None, "The folder to write; a run that is there is resumed.", required=True)
DATA_DIR = flags.DEFINE_string(
  "data_dir", "", "A data folder of data_prep/prepare.py; empty: a made-up toy language pair.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as rounds=2; may be repeated.")
TPU = flags.DEFINE_string("tpu", "", program.TPU)
EXPORT = flags.DEFINE_string("export", "", "A folder to export the last student to as a SavedModel; empty: no export.")
JOBS = flags.DEFINE_integer("jobs", 1, "Number of processes that share the work.", lower_bound=1)
JOB = flags.DEFINE_integer("job", 0, "Which of them this is, from 0.", lower_bound=0)
PRINT_CONFIG = flags.DEFINE_bool(
  "print_config", False, "Prints every setting with its value, after --set, and its description; does nothing else.",
  spares=("workdir",))

TOGETHER = "TF_NAR_TOGETHER"  # Environment variable of `_again`: 1 for a process that trains with all workers.
SHOWN = 3  # Validation lines whose translations are printed.

FLOW = """\
  original text -> teacher -> candidates -> distilled -> student -> scores -> selected
                      ^                                                          |
                      +------------------------ next round ----------------------+
"""
NEXT = """
To translate with, evaluate and export the student of the last round, {student}:

  python bin/translate.py --workdir={student} --input={data}/valid.src
  python bin/evaluate.py --workdir={student} --source={data}/valid.src --reference={data}/valid.tgt
  python bin/export.py --workdir={student} --out={workdir}/saved_model
"""
YOURS = """
To train on your own text, one sentence per line, with model sizes that suit it:

  python data_prep/prepare.py --source=train.src --target=train.tgt --valid_source=valid.src \\
      --valid_target=valid.tgt --vocab_size=8000 --out=data/mine
  python bin/em.py --config=configs/best.py --data_dir=data/mine --workdir=runs/mine
  python bin/evaluate.py --workdir=runs/mine/round_1/student --source=test.src --reference=test.tgt
  python bin/export.py --workdir=runs/mine/round_1/student --out=runs/mine/saved_model
  tensorboard --logdir=runs/mine
"""


def ship(student: str, data_dir: str, out: str) -> None:
  """Exports a student and prints the SavedModel's translations of the first validation lines."""
  import tensorflow as tf

  from tf_nar import runs
  from tf_nar.data import corpus as data_corpus
  from tf_nar.evaluate import corpus
  from tf_nar.export import saved_model
  logging.set_verbosity(logging.WARNING)  # TensorFlow logs many lines while it saves.
  run = runs.load(student)
  if not tf.io.gfile.exists(out):
    saved_model.export(run, corpus.searcher(run.model, run.experiment.search), out)
  lines = data_corpus.validation(data_dir)[0][:SHOWN]
  loaded = tf.saved_model.load(paths.literal(out))  # Held: it owns the weights.
  translations = loaded.translate(tf.constant(lines))["translation"].numpy()
  print(f"The SavedModel {out} translates:\n")
  for line, text in zip(lines, translations, strict=True):
    print(f"  {line}\n  -> {text.decode()}\n")


def alternate() -> None:
  """Runs the alternation given by the flags, or prints its settings."""
  import tensorflow as tf

  from tf_nar.em import config as em_config
  from tf_nar.em import jobs as jobs_lib
  from tf_nar.em import run as run_lib
  from tf_nar.train import strategy
  if PRINT_CONFIG.value:
    print(settings.table(config_lib.load(CONFIG.value, em_config.Alternation, SET.value, DATA_DIR.value)))
    return
  # Every stage traces its own graphs, which TensorFlow would warn of as excessive retracing.
  tf.get_logger().setLevel("ERROR")
  workdir = WORKDIR.value
  tell = lambda text: print(text, flush=True)
  jobs = _jobs(tell)
  if TOGETHER not in os.environ:  # Else this process goes on for another one.
    print(FLOW, flush=True)
  try:
    where = strategy.here() if jobs.together is False else strategy.build(TPU.value)  # `build` waits for all.
    with where.scope():
      alternation = config_lib.load(CONFIG.value, em_config.Alternation, SET.value, DATA_DIR.value)
      rows = run_lib.run(alternation, DATA_DIR.value, workdir, tell=tell, jobs=jobs)
  except jobs_lib.Turn:
    return _again(together=not jobs.together)
  except strategy.GONE as problem:
    if not jobs.together:
      raise
    raise RuntimeError("A worker of TF_CONFIG stopped while all trained, or could not be reached; start the same "
                       "command on all that ended, which resumes.") from problem
  if not jobs.owner:
    return
  last, data = rows[-1]["round"], DATA_DIR.value or f"{workdir}/data"
  student = f"{workdir}/round_{last}/student"
  if EXPORT.value:
    ship(student, data, EXPORT.value)
  print(program.typed(NEXT.format(student=student, workdir=workdir, data=data) + ("" if DATA_DIR.value else YOURS)))


def _jobs(tell):
  """Returns the `jobs.Jobs` of the flags, or those of a TF_CONFIG of several workers."""
  from tf_nar.em import jobs as jobs_lib
  from tf_nar.train import strategy
  worker, workers = strategy.machine()
  if workers == 1:
    return jobs_lib.Jobs(JOB.value, JOBS.value, tell)
  if JOBS.value > 1 or TPU.value:
    raise ValueError("Expected --jobs, --tpu or a TF_CONFIG of several workers; got two of them. Unset TF_CONFIG, or "
                     "leave out the flag.")
  together = os.environ.get(TOGETHER) == "1"
  if together:
    tell(f"worker {worker} of {workers} waits for all others, to train with them.")
  return jobs_lib.Jobs(worker, workers, tell, together=together)


def _again(together: bool) -> None:
  """Replaces this process by one of the same command that works alone, or that trains with all other workers."""
  sys.stdout.flush()
  os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {TOGETHER: str(int(together))})


def main(argv: list[str]) -> None:
  program.run("em", alternate, argv, also=(RuntimeError,))
