"""bin/export.py from flags to its output; the code that it prints is run unchanged."""
import json

import pytest
import tensorflow as tf

from tests.export import tiny


def test_export_and_use(load, tmp_path, capsys):
  vocab = tiny.VOCABULARIES["words"]()
  run, teacher = tiny.make(tmp_path / "nat", "nat_em", vocab), tiny.make(tmp_path / "ar", "ar", vocab)
  out = f"--out={tmp_path}/out"
  load("export")[1](f"--workdir={run}", f"--rescore_with={teacher}", out, "--set=search.candidates=3")
  lines = capsys.readouterr().out.splitlines()[-3:]
  names = {}
  exec("\n".join(lines).replace("...", "a low house"), names)
  said = names["model"].translate(tf.constant(["a low house"]))["translation"].numpy()[0].decode()
  assert capsys.readouterr().out == said + "\n" and said
  facts = json.loads((tmp_path / "out/assets.extra/metadata.json").read_text())
  assert facts["search"]["candidates"] == 3 and facts["dtype"] == "float32" and facts["rescored_by"] == "ar"
  assert facts["signatures"] == ["candidates", "candidates_ids", "score", "score_ids", "translate", "translate_ids"]


@pytest.mark.slow  # Another whole export; tests/export has its parts.
def test_weights_in_bfloat16_and_shards_with_passes_to_show(load, tmp_path):
  run = tiny.make(tmp_path / "cmlm", "cmlm", tiny.VOCABULARIES["words"](), passes=2, candidates=2)
  load("export")[1](f"--workdir={run}", f"--out={tmp_path}/out", "--weights=bfloat16", "--shards=2")
  facts = json.loads((tmp_path / "out/assets.extra/metadata.json").read_text())
  assert facts["dtype"] == "bfloat16" and facts["shards"] == 2 and "trace" in facts["signatures"]
  assert (tmp_path / "out/assets.extra/tf_serving_warmup_requests").stat().st_size > 100


def test_refusals_are_one_line(refused, tmp_path):
  run = tiny.make(tmp_path / "nat", "nat_em", tiny.VOCABULARIES["words"]())
  teacher = tiny.make(tmp_path / "ar", "ar", tiny.VOCABULARIES["bpe"]())
  for arguments, message in (
      ([f"--workdir={tmp_path}/none"], f"export: No run at {tmp_path}/none"),
      ([f"--workdir={run}", f"--rescore_with={teacher}"], f"export: {teacher} cannot rescore {run}"),
  ):
    assert refused("export", *arguments, f"--out={tmp_path}/out").startswith(message)
    assert not (tmp_path / "out").exists()
