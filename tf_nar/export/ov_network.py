"""A network of OpenVINO, for the translate.py beside it."""
import numpy as np
import openvino


class Network:
  """A function from inputs by name to outputs by name, which the next call overwrites.

  Inputs may have any shape; those of a shape that was fixed before take less time, the more so the smaller a network.
  """

  def __init__(self, path, options):
    """Args: path: of the .xml; options: of the CPU device."""
    self._path, self._options = path, options
    compiled = self._compiled()
    self.names = sorted({name for port in compiled.inputs for name in port.names})
    self._any, self._fixed = compiled.create_infer_request(), {}

  def _compiled(self, **shapes):
    core = openvino.Core()
    model = core.read_model(self._path)
    if shapes:
      model.reshape(shapes)
    return core.compile_model(model, "CPU", self._options)

  def fix(self, **given: np.ndarray) -> None:
    """Compiles the network again, for inputs of these shapes; it needs as much memory again."""
    shapes = {name: list(given[name].shape) for name in self.names}
    self._fixed[self._shapes(given)] = self._compiled(**shapes).create_infer_request()

  def _shapes(self, given):
    return tuple(given[name].shape for name in self.names)

  def __call__(self, **given):
    """Inputs that the network does not have are left out."""
    request = self._fixed.get(self._shapes(given), self._any)
    found = request.infer({name: given[name] for name in self.names}, share_inputs=True, share_outputs=True)
    return {name: value for port, value in found.items() for name in port.names}
