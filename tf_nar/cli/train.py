"""Trains the model that a config describes.

  python bin/train.py --config=configs/ar_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/teacher

The same command resumes a run that was stopped. Any setting can be changed:

  --set=train.steps=500 --set=model.net.dropout=0.2    for an unknown name, the error suggests the nearest known one
  --set=model.net=base                                 sizes by name: tiny, small, base or big
  --config=configs/ctc_multi30k.py --config=mine.txt   mine.txt has such settings, one name=value a line
  python bin/train.py --config=ar_multi30k --print_config    prints all settings; configs/ can be given by name

Watch training with `tensorboard --logdir=runs`; the same numbers are in WORKDIR/log.jsonl. When told to stop (SIGTERM,
or the preemption notice of a Google Cloud machine) it saves and exits with 75.

A config may have phases, which are trained in order: each has a run folder WORKDIR/phases/NAME, and WORKDIR itself is
the run folder of the result. A setting of one phase is changed as --set=phases.NAME.train.steps=300.

On a TPU VM add --tpu=local. All GPUs of the machine are used. To train on several machines, set TF_CONFIG on each and
put WORKDIR on a shared disk. Neither changes the model: the batch is always that of the config, split among devices.
"""
from tf_nar import config as config_lib
from tf_nar import program
from tf_nar import settings

flags = program.Flags()

CONFIG = flags.DEFINE_multi_string(
  "config", None, "A name that `tf-nar configs` lists, or a file that defines get_config()." + program.MORE_CONFIGS,
  required=True)
DATA_DIR = flags.DEFINE_string("data_dir", None, "A data folder of data_prep/prepare.py.", required=True)
WORKDIR = flags.DEFINE_string("workdir", None, "The run folder; a run that is there is resumed.", required=True)
WARM_START = flags.DEFINE_string(
    "warm_start", None, "A finished run whose weights to start from; from another family, such as the AR teacher, the "
    "weights that both have: token embeddings, encoder, decoder blocks. Embeddings of a language whose vocabulary is "
    "another start at random.")
ORIGINAL_DIR = flags.DEFINE_string(
    "original_dir", None, "The data folder of phases that train on the original text, if DATA_DIR is a distilled one.")
TPU = flags.DEFINE_string("tpu", "", program.TPU)
PROFILE_STEPS = flags.DEFINE_list("profile_steps", [], "The updates to profile for TensorBoard, as 200,210.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as train.steps=500; may be repeated.")
PRINT_CONFIG = flags.DEFINE_bool(
  "print_config", False, "Prints every setting with its value, after --set, and its description; does nothing else.",
  spares=("data_dir", "workdir"))


def train() -> None:
  """Trains the config given by the flags, or prints its settings."""
  from tf_nar import recipe
  from tf_nar.train import strategy
  if PRINT_CONFIG.value:
    print(settings.table(config_lib.load(CONFIG.value, config_lib.Experiment, SET.value, DATA_DIR.value)))
    return
  profile_steps = _profile_steps(PROFILE_STEPS.value)
  with strategy.build(TPU.value).scope():
    experiment = config_lib.load(CONFIG.value, config_lib.Experiment, SET.value, DATA_DIR.value)
    recipe.run(experiment, DATA_DIR.value, WORKDIR.value, original_dir=ORIGINAL_DIR.value, warm_start=WARM_START.value,
               profile_steps=profile_steps)
  print(program.typed("Trained. Translate with:\n"
        f"  python bin/translate.py --workdir={WORKDIR.value} --input=FILE --output=FILE"))


def main(argv: list[str]) -> None:
  program.run("train", train, argv)


def _profile_steps(texts):
  if not texts:
    return ()
  if len(texts) != 2 or not all(text.isdigit() for text in texts) or int(texts[0]) >= int(texts[1]):
    raise ValueError(f"--profile_steps expects two updates, the first and the one after the last, as 200,210; "
                     f"got {','.join(texts)}.")
  return tuple(map(int, texts))
