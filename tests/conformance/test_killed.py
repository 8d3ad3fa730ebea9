"""A training in phases, killed in each of them, equals a whole one, in families with state beside their weights."""
import os

import numpy as np
import pytest

from tests.conformance import families
from tests.data import folders
from tf_nar import config
from tf_nar import recipe
from tf_nar import runs
from tf_nar.layers import flow_prior
from tf_nar.layers import quantizer
from tf_nar.models import flowseq
from tf_nar.models import latent_codes
from tf_nar.train import loop

SECOND = ("train.steps=3",)
MODELS = {
  "flowseq": (flowseq.Config(families.NET, flow_prior.Config((1,), ("half",), ffn=8), samples=1), flowseq.Search(), (
    config.Phase("reconstruct", ("model.reconstruct=True",), start="warm_start"), config.Phase("bound", SECOND))),
  "latent_codes": (
    latent_codes.Config(families.NET, quantizer.Config(codes=16, restart=0.5), compress=1, prior_layers=1),
    latent_codes.Search(), (
      config.Phase("codes", start="warm_start"), config.Phase("settled", ("model.settled=True", *SECOND)))),
}
TRAIN = config.Train(
  steps=4, tokens_per_batch=128, max_length=12, buckets=1, validate_every=2, log_every=2, keep=2, validate_sentences=2,
  optimizer=config.Optimizer(learning_rate=0.01, warmup=1))


class Killed(BaseException):
  """An exception that no program catches."""


def dying(phase, last):
  """Returns the class of an update that kills a training after `last` calls in the first or second phase, 0 or 1."""
  class Dying(loop.step_lib.Update):
    made = 0

    def __call__(self, *args):
      model = self._model.config
      second = model.settled if isinstance(model, latent_codes.Config) else not model.reconstruct
      self.made += second == phase
      if self.made > last:
        raise Killed
      return super().__call__(*args)

  return Dying


@pytest.mark.slow  # 8 min on a busy machine.
@pytest.mark.parametrize("family", MODELS)
def test_phases_killed_and_resumed_equal_the_whole(family, tmp_path, monkeypatch):
  model, search, phases = MODELS[family]
  experiment = config.Experiment(family, model, search, TRAIN, phases)
  data = folders.make(tmp_path / "data", folders.random_pairs(40, longest=11))
  whole, broken = (str(tmp_path / name) for name in ("whole", "broken"))
  recipe.run(experiment, data, whole)
  # Before the first checkpoint of each phase, which is after `initialise`; and after it.
  for phase, last in ((0, 1), (0, 3), (1, 1), (1, 2)):
    with monkeypatch.context() as patch, pytest.raises(Killed):
      patch.setattr(loop.step_lib, "Update", dying(phase, last))
      recipe.run(experiment, data, broken)
  recipe.run(experiment, data, broken)
  one, other = (dict(np.load(os.path.join(folder, runs.WEIGHTS))) for folder in (whole, broken))
  assert one.keys() == other.keys() and one.get("flowseq/prior_begun", 1) == 1
  for path, value in one.items():
    np.testing.assert_array_equal(value, other[path], err_msg=path)
