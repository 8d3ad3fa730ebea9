"""bin/bench_train.py from flags to its output, on a tiny model."""
import json

import pytest

from tests.data import folders
from tf_nar.train import speed

CONFIG = """
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import ar


def get_config():
  net = transformer.Config(width=8, ffn=8, heads=2, encoder_layers=1, decoder_layers=1, max_length=32)
  train = config.Train(tokens_per_batch=64, max_length=32, buckets=2)
  return config.Experiment("ar", ar.Config(net), ar.Search(), train)
"""
SHORT = ["--rounds=2", "--updates=1"]


@pytest.fixture
def call(monkeypatch, tmp_path, load):
  """Returns a function that runs the program on a tiny config."""
  monkeypatch.setattr(speed, "LEAST", 0.0)

  def run(*arguments):
    (tmp_path / "config.py").write_text(CONFIG)
    load("bench_train")[1](f"--config={tmp_path}/config.py", *arguments)

  return run


def test_made_up_text(call, tmp_path, capsys):
  call("--length=8", "--vocab=45", *SHORT, f"--output={tmp_path}/speed.json")
  said = capsys.readouterr().out
  for name in ("target tokens/s", "model flop utilisation", "of 2 rounds", "peak memory", "bfloat16 ffn 64 x 8 x 8"):
    assert name in said
  told = json.loads((tmp_path / "speed.json").read_text())
  assert len(told["rounds"]) == 2 and told["machine"]["dtype"] == "float32" and told["baseline"] is None
  spread = told["spreads"]["target tokens/s"]
  assert 0 < spread["min"] <= spread["median"] <= spread["max"]
  assert told["spreads"]["padding"]["max"] == 0 and "target words/s" not in told["spreads"]


def test_a_data_folder_has_words(call, tmp_path, capsys):
  data = folders.make(tmp_path / "data", folders.random_pairs(40, longest=8))
  call(f"--data_dir={data}", *SHORT)
  assert "target words/s" in capsys.readouterr().out


def test_another_config_in_turns(call, tmp_path, capsys):
  other = f"{tmp_path}/config.py,model.net.width=16"
  call("--length=8", "--vocab=45", *SHORT, f"--beside={other}", f"--output={tmp_path}/speed.json")
  assert f"{other}: times its speed" in capsys.readouterr().out
  told = json.loads((tmp_path / "speed.json").read_text())
  spreads = told["spreads"]
  # Six in the encoder, six in the decoder, from the keys of its memory; the mean logit, the logits, their gradient.
  assert told["matrix products in a row"] == told[f"{other}: matrix products in a row"] == 15
  assert 0.3 < spreads[f"{other}: times its operations"]["median"] < 0.6  # Half as wide.


@pytest.mark.parametrize("arguments, message", [
  ([], "Expected --data_dir, or --length and --vocab such as --length=25 --vocab=32000; got --length=0 --vocab=0"),
  (["--length=8"], "Expected --data_dir, .*got --length=8 --vocab=0"),
  (["--data_dir=no", "--length=8"], "--data_dir brings its own lengths and vocabulary"),
  (["--length=8", "--vocab=45", "--baseline=marian"], "--baseline=marian needs --baseline_python"),
  (["--length=8", "--vocab=45", "--beside=no.py"], "No config no.py"),
  (["--length=8", "--vocab=45", "--set=train.setps=1"], r"no field 'setps'\. Did you mean 'steps'"),
])
def test_refusals_are_one_line(call, arguments, message):
  with pytest.raises(SystemExit, match=f"^bench_train: .*{message}"):
    call(*arguments)
