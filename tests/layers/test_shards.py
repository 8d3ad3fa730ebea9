"""Which weights are cut is declared by the layers that own them; the conformance tests compare whole models."""
import keras
import numpy as np

from tf_nar.layers import shards
from tf_nar.layers import transformer

NET = transformer.Config(width=4, ffn=8, heads=2, encoder_layers=1, shards=2)


class Model(keras.Model):
  """A stack in two shards, and a layer that is not of it but of the same name as one of its sub-layers."""

  def __init__(self):
    super().__init__()
    self.stack = transformer.Stack(NET, 1, name="stack")
    self.other = keras.layers.Dense(8, name="ffn_in")
    self.other.build((None, 4))


def test_only_declared_sub_layers_are_cut():
  model = Model()
  block, path = model.stack.blocks[0], model.other.kernel.path
  kernel, own = np.arange(32.0).reshape(4, 8), np.ones([4, 8])
  found = shards.cut({f"{block.path}/ffn_in/kernel": kernel, path: own}, model)
  assert set(found) == {f"{block.path}/ffn_in_0/kernel", f"{block.path}/ffn_in_1/kernel", path}
  np.testing.assert_array_equal(np.concatenate([found[f"{block.path}/ffn_in_{i}/kernel"] for i in (0, 1)], 1), kernel)
  assert found[path] is own
