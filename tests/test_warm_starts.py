"""Which weights a family takes from a teacher beside those of equal paths: `Traits.copies`."""
import numpy as np
import pytest

from tests.conformance import families
from tf_nar import config as core_config
from tf_nar import runs
from tf_nar import warm_starts
from tf_nar.models import lanmt

SOURCE = families.Tiny(lanmt.Config(families.NET, lanmt.Latent("source")), lanmt.Search())


@pytest.mark.parametrize("name, tiny, prefixes", [
  ("flowseq", families.TINY["flowseq"], {"posterior/stack/"}),
  ("lanmt", families.TINY["lanmt"], {"prior/stack/", "posterior/stack/"}),
  ("lanmt", SOURCE, {"posterior_target/", "posterior/stack/"}),
  ("latent_codes", families.TINY["latent_codes"], {"targets/", "prior/"}),
  ("refinement", families.TINY["refinement"], {"refiner/"}),
], ids=["flowseq", "lanmt", "lanmt of the source", "latent_codes", "refinement"])
def test_other_stacks_start_from_a_teachers(name, tiny, prefixes, tmp_path):
  teacher = families.build("ar")
  weights = {v.path: v.numpy() for v in teacher.variables}
  runs.create(core_config.Experiment("ar", teacher.config, families.TINY["ar"].search), families.VOCAB, str(tmp_path))
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
