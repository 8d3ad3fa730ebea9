"""bin/check_tpu.py as a user calls it."""
import pathlib
import subprocess
import sys

import pytest

from tf_nar import configfile

PROGRAM = pathlib.Path(__file__).parents[2] / "bin/check_tpu.py"
CONFIG = """
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import nat_em


def get_config():
  net = transformer.Config(width=16, ffn=32, heads=2, encoder_layers=1, decoder_layers=0, max_length=12)
  train = config.Train(tokens_per_batch=64, max_length=12, buckets=2)
  return config.Experiment("nat_em", nat_em.Config(net), nat_em.Search(), train)
"""
# The search prints the config's source.
PRINTING = """
import tensorflow as tf
search = nat_em.one_pass.translate
nat_em.one_pass.translate = lambda net, src, *more: (tf.print(src), search(net, src, *more))[1]


"""


def call(*arguments):
  return subprocess.run([sys.executable, PROGRAM, *arguments], capture_output=True, text=True, check=False)


def test_help_teaches():
  told = call("--help").stdout
  for text in ("python bin/check_tpu.py --config=", "--nocompile", "--compile_for=v5e,v6e", "install '.[tpu_check]'"):
    assert text in told


@pytest.mark.parametrize("flags, message", [
  (["--config=configs/nothing.py"], "check_tpu: No config configs/nothing.py."),
  (["--config=x.py", "--compile_for=v7"], "check_tpu: No TPU 'v7' is known"),
])
def test_refusals_are_one_line(refused, flags, message):
  assert refused("check_tpu", *flags).startswith(message)


def test_a_config_of_something_else_is_one_line(refused, tmp_path):
  path = tmp_path / "config.py"
  path.write_text("def get_config():\n  return 3\n")
  assert refused("check_tpu", f"--config={path}") == (
    f"check_tpu: {path} must return an Experiment or an Alternation; got int.")


@pytest.mark.slow
def test_a_tiny_experiment_passes_and_a_broken_one_does_not(tmp_path):
  path = tmp_path / "config.py"
  path.write_text(CONFIG)
  passed = call(f"--config={path}", "--vocab=20", "--quick")
  assert passed.returncode == 0, passed.stderr
  assert all(f"ok    {graph} 16 x 4" in passed.stdout for graph in ("update", "score", "validate"))
  assert "No problem was found" in passed.stdout
  path.write_text(CONFIG.replace("def get_config", PRINTING + "def get_config"))
  failed = call(f"--config={path}", "--vocab=20", "--quick", "--nocompile")
  assert failed.returncode == 1 and "FAIL  translate" in failed.stdout
  assert any(line.startswith("nat_em: translate 16 x 4: PrintV2 ") for line in failed.stderr.splitlines())


SMALL = [f"--set={text}" for text in (
  "model.net.width=16", "model.net.ffn=32", "model.net.heads=2", "model.net.encoder_layers=1",
  "model.net.decoder_layers=1", "model.net.max_length=12", "train.max_length=12", "train.buckets=1",
  "train.tokens_per_batch=64")]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name in configfile.named() if not name.startswith(("em_", "best"))))
@pytest.mark.parametrize("program, flags", [
  ("check_tpu", ["--quick", "--nocompile"]),
  ("bench_train", ["--length=8", "--rounds=1", "--updates=1"]),
])
def test_every_config_is_taken(program, flags, name):
  command = [sys.executable, PROGRAM.with_name(f"{program}.py"), f"--config={name}", "--vocab=50", *flags, *SMALL]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
