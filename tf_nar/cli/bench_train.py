"""Measures how fast a config trains, in absolute terms and relative to the machine's fastest matrix products.

  python bin/bench_train.py --config=configs/nat_em_multi30k.py --data_dir=data/multi30k_en_de
  python bin/bench_train.py --config=configs/nat_em_wmt14.py --length=25 --vocab=32000 --output=speed.json

Makes real updates, on the batches of a data folder or on one made-up batch without padding, and saves nothing. Each
round measures in turn: --updates updates; the output softmax alone; two of the model's matrix products, in bfloat16
and float32. The minimum, median and maximum over the rounds are printed:

  model flop utilisation   FLOP per second of the updates, divided by those of the faster of the two matrix products
                           in the config's type, measured in the same round. FLOP per update are counted by the
                           formula of tf_nar/train/flops.py: 6 x weights of matrix products x positions, plus
                           attention; padding is included, and the output layer at tokens without a loss, where it
                           is not computed: utilisation is overstated for masked models
  share of input           share of the time spent waiting for the next batch; prefetching runs during the update.
                           On an accelerator, which works behind the host, this overstates the cost
  share of output softmax  output layer, loss and their gradients: a part of the update, timed separately
  matrix products in a row the longest chain of those that wait for each other in the forward part of an update, with
                           one turn of each loop: a device of any width takes at least as many steps

Beside other configs, in turns, with the ratio of speeds and that of operations, both of a target token:

  python bin/bench_train.py --config=configs/lanmt_wmt14.py --length=25 --vocab=32000 \\
      --beside=configs/nat_em_wmt14.py --beside=configs/nat_em_wmt14.py,model.net.width=256

On a machine that is busy with other programs the numbers mean little; a warning is printed then.

Compared with Hugging Face's Marian of the same shape, on the same batches and in turns:

  python bin/bench_train.py --config=configs/ar_multi30k.py --data_dir=data/multi30k_en_de \\
      --baseline=marian --baseline_python=torch_env/bin/python

bin/baselines/marian.py lists the packages which that Python needs, and the differences between the two.
"""
import dataclasses
import json
import os
import pathlib
from typing import Any, Callable, Iterable

from tf_nar import config as config_lib
from tf_nar import program
from tf_nar.data import atomic

flags = program.Flags()

CONFIG = flags.DEFINE_multi_string(
  "config", None, "A file that defines get_config(); see configs/." + program.MORE_CONFIGS, required=True)
DATA_DIR = flags.DEFINE_string("data_dir", "", "A data folder; or give --length and --vocab.")
LENGTH = flags.DEFINE_integer("length", 0, "Tokens of every made-up sentence, EOS included.")
VOCAB = flags.DEFINE_integer("vocab", 0, "Size of the made-up vocabulary, in tokens.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds that are measured, after one more to warm up.", lower_bound=1)
UPDATES = flags.DEFINE_integer("updates", 10, "Updates per round.", lower_bound=1)
BASELINE = flags.DEFINE_enum("baseline", None, ["marian"], "A baseline to train in turns with ours; default: none.")
BESIDE = flags.DEFINE_multi_string(
  "beside", [], "Another config, with settings after commas, to train in turns on the same text; may be repeated. The "
  "settings of --set are not its.")
BASELINE_PYTHON = flags.DEFINE_string("baseline_python", "", "A Python interpreter with the baseline's packages.")
OUTPUT = flags.DEFINE_string("output", "", "A JSON file to write.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as train.tokens_per_batch=8192; may be repeated.")

BUSY = 1.0  # System load average (number of runnable processes) above which the machine counts as busy.
BASELINES = pathlib.Path(__file__).parents[2] / "bin/baselines"


def data(experiment: config_lib.Experiment) -> tuple[Iterable, dict[str, Any], Callable | None]:
  """Returns (batches, sizes of `models.build`, function that decodes ids, or None for made-up data)."""
  from tf_nar import models
  from tf_nar import types
  from tf_nar.data import corpus
  from tf_nar.data import pipeline
  from tf_nar.data import vocab as vocab_lib
  from tf_nar.train import speed
  train, kind = experiment.train, models.traits(experiment.family).batch(experiment.model)
  if DATA_DIR.value:
    if LENGTH.value or VOCAB.value:
      raise ValueError("--data_dir brings its own lengths and vocabulary; leave out --length and --vocab.")
    corpus.read(DATA_DIR.value)  # Checks the folder.
    vocab = vocab_lib.load(DATA_DIR.value)
    sizes = {"vocab": len(vocab), "source_vocab": vocab.source_size}
    return (batch for *_, batch in pipeline.training(
      DATA_DIR.value, train, aligned=kind is types.Aligned)), sizes, vocab.decode
  if LENGTH.value < 1 or VOCAB.value <= 5:
    raise ValueError("Expected --data_dir, or --length and --vocab such as --length=25 --vocab=32000; "
                     f"got --length={LENGTH.value} --vocab={VOCAB.value}.")
  rows = pipeline.rows(LENGTH.value, train.tokens_per_batch)
  return speed.made_up(rows, LENGTH.value, VOCAB.value, kind), {"vocab": VOCAB.value}, None


def machine(experiment: config_lib.Experiment) -> dict[str, Any]:
  """Returns the facts about the machine that are needed to interpret a speed."""
  import tensorflow as tf

  from tf_nar.train import speed
  threads = tf.config.threading.get_intra_op_parallelism_threads()
  return {
    "cores": speed.cores(), "threads": threads or "as many as cores", "load before": round(os.getloadavg()[0], 2),
    "TensorFlow": tf.__version__, "dtype": experiment.model.net.dtype,
    "accelerators": [device.name for device in tf.config.list_physical_devices() if device.device_type != "CPU"]}


def start_baseline(experiment: config_lib.Experiment, model: Any) -> Any:
  """Returns the started baseline, or None."""
  import tensorflow as tf

  from tf_nar.layers import encoder_decoder
  from tf_nar.train import baseline as baseline_lib
  from tf_nar.train import speed
  if not BASELINE.value:
    return None
  if not BASELINE_PYTHON.value:
    raise ValueError(f"--baseline={BASELINE.value} needs --baseline_python; bin/baselines/ lists its packages.")
  if not BASELINES.is_dir():
    raise ValueError("--baseline needs bin/baselines/, which the installed package does not have; use a checkout.")
  if len(tf.config.list_physical_devices()) > 1:
    raise ValueError("The baseline trains on the CPU; hide the accelerators, as with CUDA_VISIBLE_DEVICES=-1.")
  net, adam = experiment.model.net, experiment.train.optimizer
  if net.tied != "all":
    raise ValueError("The baseline has one table of embeddings; give a data folder with one vocabulary, net.tie=all.")
  traits = model.traits
  decoder = (encoder_decoder.of(model) or model).decoder
  settings = dataclasses.asdict(net) | {
    "decoder_layers": len(decoder.blocks), "threads": speed.cores(),
    "smoothing": experiment.model.smoothing if traits.smoothed else 0.0, "accumulate": adam.accumulate,
    "clip_norm": adam.clip_norm, "beta_1": adam.beta_1, "beta_2": adam.beta_2}
  return baseline_lib.Process([BASELINE_PYTHON.value, str(BASELINES / f"{BASELINE.value}.py")], settings)


def prepare(paths: str | list[str], settings: list[str]) -> tuple[Any, config_lib.Experiment, Any, Callable | None]:
  """Returns (a `speed.Training`, its experiment with the sizes of the data, the model, `decode` as of `data`)."""
  from tf_nar import models
  from tf_nar.train import speed
  experiment = config_lib.load(paths, config_lib.Experiment, settings, DATA_DIR.value or None)
  batches, sizes, decode = data(experiment)
  model = models.build(experiment.family, experiment.model, **sizes)
  experiment = dataclasses.replace(experiment, model=model.config)
  return speed.Training(model, experiment.train, batches), experiment, model, decode


def beside() -> dict[str, tuple[Any, config_lib.Experiment]]:
  """Returns {value of --beside: (its `speed.Training`, its experiment)}."""
  found = {}
  for value in BESIDE.value:
    path, *settings = value.split(",")
    training, experiment, *_ = prepare([path], settings)
    found[value] = training, experiment
  return found


def measure() -> dict[str, Any]:
  """Returns all results, as they are written to JSON."""
  from tf_nar.train import speed
  training, experiment, model, decode = prepare(CONFIG.value, SET.value)
  others = beside()
  told = {"config": " ".join(CONFIG.value), "set": SET.value,
          "data": DATA_DIR.value or f"made up, {LENGTH.value} tokens", "machine": machine(experiment),
          "updates a round": UPDATES.value}
  baseline = start_baseline(experiment, model)
  try:
    batch = training.warm_up(UPDATES.value).batches[-1]
    positions = batch.tgt.shape.num_elements()
    told["peak memory of training, GiB"] = round(speed.peak_memory(), 3)
    told["matrix products in a row"] = training.chain(batch)
    for name, (other, _) in others.items():
      told[f"{name}: matrix products in a row"] = other.chain(other.warm_up(UPDATES.value).batches[-1])
    bench = speed.Bench(training, experiment, positions, baseline=baseline, beside=others, decode=decode)
    bench.round(UPDATES.value)
    rounds = [bench.round(UPDATES.value) for _ in range(ROUNDS.value)]
  finally:
    if baseline:
      baseline.close()
  return told | {"baseline": baseline and baseline.facts, "rounds": rounds, "spreads": speed.spreads(rounds)}


def show(told: dict[str, Any]) -> None:
  """Prints the results."""
  facts = {name: value for name, value in told.items() if name not in ("machine", "rounds", "spreads") and value}
  for name, value in (facts | told["machine"]).items():
    print(f"{name:34}{value}")
  wide = max(44, *(len(name) for name in told["spreads"])) + 1
  print(f"\n{'of ' + str(len(told['rounds'])) + ' rounds':{wide}}{'min':>12}{'median':>12}{'max':>12}")
  for name, spread in told["spreads"].items():
    print(f"{name:{wide}}" + "".join(f"{spread[each]:12,.4g}" for each in ("min", "median", "max")))
  if told["machine"]["load before"] > BUSY:
    print(f"\nThe machine was busy before this began (load {told['machine']['load before']}); repeat it when idle.")


def bench() -> None:
  """Measures, prints and, with --output, writes the results."""
  if OUTPUT.value:
    atomic.check_no_folder(OUTPUT.value)
  told = measure()
  show(told)
  if OUTPUT.value:
    atomic.write(OUTPUT.value, json.dumps(told, indent=2).encode())


def main(argv: list[str]) -> None:
  program.run("bench_train", bench, argv)
