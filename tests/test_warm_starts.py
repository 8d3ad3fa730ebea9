"""Which weights a family takes from a teacher beside those of equal paths: `Traits.copies`."""
import numpy as np
import pytest

from tests.conformance import families
from tf_nar import config as core_config
from tf_nar import runs
from tf_nar import warm_starts
from tf_nar.models import lanmt

SOURCE = families.Tiny(lanmt.Config(families.NET, lanmt.Latent("source")), lanmt.Search())


@pytest.mark.parametrize("name, tiny, before, prefixes", [
  ("flowseq", families.TINY["flowseq"], "ar", {"posterior/stack/"}),
  ("lanmt", families.TINY["lanmt"], "ar", {"prior/stack/", "posterior/stack/"}),
  ("lanmt", SOURCE, "ar", {"posterior_target/", "posterior/stack/"}),
  ("lanmt_score", families.TINY["lanmt_score"], "lanmt", {"network/stack/", "network/vector/"}),
  ("latent_codes", families.TINY["latent_codes"], "ar", {"targets/", "prior/"}),
  ("refinement", families.TINY["refinement"], "ar", {"refiner/"}),
], ids=["flowseq", "lanmt", "lanmt of the source", "lanmt_score", "latent_codes", "refinement"])
def test_other_stacks_start_from_a_decoder(name, tiny, before, prefixes, tmp_path):
  first = families.build(before)
  weights = {v.path: v.numpy() for v in first.variables}
  runs.create(core_config.Experiment(before, first.config, families.TINY[before].search), families.VOCAB, str(tmp_path))
  runs.save_weights(weights, str(tmp_path))
  run = runs.plan(core_config.Experiment(name, tiny.config, tiny.search), families.VOCAB, str(tmp_path / "new"))
  warm_starts.start_from(run, str(tmp_path))
  filled = set()
  for prefix, copied in run.model.traits.copies.items():
    theirs = {prefix + path.removeprefix(copied): value for path, value in weights.items() if path.startswith(copied)}
    for variable in run.model.variables:
      if runs.fits(variable, theirs):
        np.testing.assert_array_equal(variable.numpy(), theirs[variable.path])
        filled.add(prefix)
  assert filled == prefixes


def saved(name, folder, model=None):
  """Writes a run of a family, or of its `model`, and returns its weights {path: array}."""
  model = model or families.build(name)
  weights = {v.path: v.numpy() for v in model.variables}
  runs.create(core_config.Experiment(name, model.config, families.TINY[name].search), families.VOCAB, str(folder))
  runs.save_weights(weights, str(folder))
  return weights


def planned(name, folder, *changes):
  made = core_config.override(core_config.Experiment(name, *families.TINY[name]), *changes)
  return runs.plan(made, families.VOCAB, str(folder))


def test_a_run_starts_from_the_frozen_part_of_another(tmp_path):
  weights = saved("lanmt_score", tmp_path / "old")
  run = planned("lanmt", tmp_path / "new")
  warm_starts.start_from(run, str(tmp_path / "old"))
  for variable in run.model.variables:
    np.testing.assert_array_equal(variable.numpy(), weights[f"lanmt/{variable.path}"])


LANMT = ["decoder", "posterior/stack", "prior/stack"]


@pytest.mark.parametrize("name, stacks, before", [
  ("lanmt", LANMT, "ar"), ("lanmt", LANMT, "lanmt"), ("flowseq", ["decoder", "posterior/stack"], "ar"),
  ("flowseq", ["decoder", "posterior/stack"], "flowseq"), ("lanmt_score", ["network/stack"], "lanmt")])
def test_all_stacks_start_from_those_of_another_depth(name, stacks, before, tmp_path):
  weights = saved(before, tmp_path / "old")
  depth = "model.layers=2" if name == "lanmt_score" else "model.net.decoder_layers=2"
  run = planned(name, tmp_path / "new", depth)
  warm_starts.start_from(run, str(tmp_path / "old"))
  filled = {stack: set() for stack in stacks}
  for variable in run.model.variables:
    for stack in stacks:
      if variable.path.startswith(f"{stack}/block_"):
        _, block, rest = variable.path.removeprefix(stack).split("/", 2)
        theirs = weights.get(f"{stack}/block_0/{rest}", weights.get(f"decoder/block_0/{rest}"))
        if theirs is not None and theirs.shape == tuple(variable.shape):
          np.testing.assert_array_equal(variable.numpy(), theirs)
          filled[stack].add(block)
  assert filled == {stack: {"block_0", "block_1"} for stack in stacks}


@pytest.mark.parametrize("ours, name, value, theirs", [
  ("model.net.heads=4", "net.heads", "4", "2"), ("model.net.norm=pre", "net.norm", "pre", "post"),
  ("model.latent.dimensions=4", "latent.dimensions", "4", "8"),
  ("model.net.max_length=14", "net.max_length", "14", "12"),  # As its positions are learned.
])
def test_a_frozen_part_has_the_function_of_its_run(ours, name, value, theirs):
  made = core_config.Experiment("lanmt_score", *families.TINY["lanmt_score"])
  trained = core_config.override(
    core_config.Experiment("lanmt", *families.TINY["lanmt"]), "model.net.dropout=0.3", "model.smoothing=0.2").model
  warm_starts.check_function(made.model.lanmt, trained, warm_starts.FROZEN, "runs/old")
  message = f"The frozen part has {name}={value}, but runs/old, whose weights it would get, has {name}={theirs};"
  with pytest.raises(ValueError, match=message):
    frozen = core_config.override(made, ours).model.lanmt
    warm_starts.check_function(frozen, trained, warm_starts.FROZEN, "runs/old")
