"""The flow prior of FlowSeq (Ma et al., EMNLP 2019): p(z | x) = N(f(z; x); 0, 1) |det df/dz|.

  step    ActNorm, InvertibleLinear of neighbours, unit, ActNorm, InvertibleLinear of channels far apart, unit
  unit    for each of `splits`: a coupling up and one down, with an ActNorm before all but the first
  level   ActNorm, a coupling up and one down, steps; then, except at the last level, a coupling up

After a level half of the channels are finished, and the next level gets the others with half as many positions. The
default has the 120 couplings of the paper's program, each a Transformer block, and they run one after the other.
"""
import dataclasses
import functools
from typing import Any

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar.layers import flow
from tf_nar.layers import transformer
from tf_nar.ops import operations as operations_lib

SPLITS = ("half", "alternate", "time")


@dataclasses.dataclass(frozen=True)
class Config:
  levels: tuple[int, ...] = (4, 4, 2)  # Steps of each level; n levels need lengths in multiples of 2^(n-1).
  splits: tuple[str, ...] = SPLITS  # Couplings of a unit; "time" is left out at the last level, as in the paper.
  ffn: int = 512  # Inner dimension of the feed-forward sub-layers in couplings.

  def __post_init__(self):
    if not self.levels or any(type(steps) is not int or steps < 1 for steps in self.levels):
      raise ValueError("flow.levels must hold the steps of each level, whole numbers of at least 1, as (4, 4, 2); "
                       f"got {self.levels}.")
    for split in self.splits:
      core_config.check_choice("each of flow.splits", split, SPLITS)
    core_config.check_at_least(1, self, "ffn", group="flow.")

  @property
  def unit(self) -> int:
    """The number of which all lengths must be multiples."""
    return 2 ** (len(self.levels) - 1)


def plan(config: Config) -> list[list[tuple]]:
  """Returns the layers of each level, a list of lists: ("norm",), ("linear", strided) or ("coupling", split, up)."""
  pair = lambda split: [("coupling", split, True), ("coupling", split, False)]
  levels = []
  for steps in config.levels:
    last = len(levels) == len(config.levels) - 1
    splits = [split for split in config.splits if not (last and split == "time")]
    unit = [part for split in splits for part in (("norm",), *pair(split))][1:]
    step = [("norm",), ("linear", False), *unit, ("norm",), ("linear", True), *unit]
    levels.append([("norm",), *pair("half"), *steps * step, *([] if last else pair("half")[:1])])
  return levels


def couplings(config: Config) -> int:
  """Returns the number of couplings, which is that of the blocks that run one after the other."""
  return sum(kind == "coupling" for level in plan(config) for kind, *_ in level)


def operations(config: Config, net: transformer.Config, channels: int, source: int, target: int) -> int:
  """Returns the multiply-adds of one pass of the flow, in either direction; see `ops/operations.py`."""
  total, positions = 0, target
  for level in plan(config):
    for kind, *how in level:
      if kind == "linear":
        total += flow.group(channels) * channels * positions
      elif kind == "coupling":
        width, seen = flow.inner(channels, how[0]), positions // 2 if how[0] == "time" else positions
        total += net.width * width * source + 2 * width**2 * seen
        total += operations_lib.decoder(flow.block(_inside(config, net), width), 1, seen, source)
    positions //= 2
  return total


class FlowPrior(keras.layers.Layer):
  """A prior of latents z float32 [R, T, C], which are 0 at padding, given a `flow.Given`."""

  def __init__(self, config: Config, net: transformer.Config, channels: int, **kw: Any):
    """Args:
      config: a `Config`.
      net: the `transformer.Config` of the model.
      channels: C; C and C / 2 must be multiples of `net.heads`.
    """
    super().__init__(dtype="float32", **kw)
    make = {"norm": functools.partial(flow.ActNorm, channels),
            "linear": functools.partial(flow.InvertibleLinear, channels),
            "coupling": functools.partial(flow.AffineCoupling, channels, net=_inside(config, net))}
    deeper = []
    for level in reversed(plan(config)):
      parts = [make[kind](*how, name=f"{kind}_{i}") for i, (kind, *how) in enumerate(level)]
      self.flow = flow.Chain([*parts, *deeper], name="flow")
      deeper = [flow.Halved(self.flow, name="halved")]
    self.build(None)

  def build(self, _: tuple | None) -> None:
    self.flow.build(None)
    self.built = True

  def log_prob(self, z: tf.Tensor, given: flow.Given) -> tf.Tensor:
    """Returns log p(z | x), float32 [R]."""
    e, log_det = self.flow.forward(z, given)
    return flow.log_normal(e, given) + log_det

  def sample(self, noise: tf.Tensor, given: flow.Given) -> tf.Tensor:
    """Returns latents, given standard normal noise [R, T, C], or noise of a lower temperature, such as 0."""
    return self.flow.inverse(noise * given.real, given)

  def initialise(self, z: tf.Tensor, given: flow.Given) -> None:
    """Initialises the flow by latents."""
    self.flow.initialise(tf.cast(z, tf.float32) * given.real, given)


def _inside(config, net):
  return dataclasses.replace(net, ffn=config.ffn)
