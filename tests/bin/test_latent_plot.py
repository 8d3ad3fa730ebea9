"""bin/translate.py draws the latents of a sentence, and says what they say at each step."""
import dataclasses

import pytest

from tests.conformance import families
from tf_nar import config
from tf_nar import runs


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """The folder of an untrained `lanmt_score`."""
  model, folder = families.build("lanmt_score"), str(tmp_path_factory.mktemp("run"))
  search = dataclasses.replace(families.TINY["lanmt_score"].search, steps=3)
  runs.save(runs.Run(config.Experiment("lanmt_score", model.config, search), model, families.VOCAB, folder))
  return folder


def test_translate_draws_the_first_sentence_with_tokens(load, workdir, tmp_path, capsys):
  (tmp_path / "in").write_text("\nw1 w2 w3\nw4\n")
  plot = tmp_path / "latents.png"
  arguments = f"--workdir={workdir}", f"--input={tmp_path}/in"
  load("translate")[1](*arguments, "--trace", f"--latent_plot={plot}", "--latent_reference=w5 w6")
  said = capsys.readouterr().out.splitlines()
  steps = [[str(row), str(step)] for row in (1, 2) for step in (1, 2, 3, 4)]
  assert [line.split(" ||| ")[:2] for line in said] == steps
  assert said[1].split(" ||| ")[2] == said[0].split(" ||| ")[3]  # A step begins with what the latents before it say.
  assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_reference_without_a_plot_is_refused(load, workdir):
  with pytest.raises(SystemExit, match="^translate: --latent_reference is drawn by --latent_plot; give that file too."):
    load("translate")[1](f"--workdir={workdir}", "--latent_reference=w5")
