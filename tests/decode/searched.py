"""Argmax and ODD on whole logits, which the package never has at once."""
from tf_nar.decode import argmax as argmax_lib
from tf_nar.ops import odd as odd_lib
from tf_nar.ops import tokens


def best(logits, *, forbid=()):
  """Returns the best token at every position, and its log p: int32 and float32 [B, T]."""
  return tuple(x[..., 0] for x in tokens.best(logits, 1, forbid))


def argmax(logits, lengths, *, forbid=()):
  """Returns what `argmax.predictions` does."""
  return argmax_lib.predictions(*best(logits, forbid=forbid), lengths)


def odd(logits, lengths, *, forbid=(), **options):
  """Returns what `odd.among` does."""
  return odd_lib.among(*tokens.best(logits, odd_lib.KEPT, forbid), lengths, **options)
