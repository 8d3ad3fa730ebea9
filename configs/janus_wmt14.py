"""JANUS on WMT14 en-de, with the sizes and settings of its program's script.

  python bin/train.py --config=configs/janus_wmt14.py --data_dir=data/wmt14_en_de --workdir=runs/janus_wmt14

The program's update is 131,072 tokens; here it is 64 micro-batches of 2,048, since a step keeps attention weights of
(5 T)^2 per head for a target of T tokens. Raise train.tokens_per_batch and lower train.optimizer.accumulate if memory
allows. Not measured yet, as it needs an accelerator.
"""
import dataclasses

from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import janus

NET = dataclasses.replace(transformer.BASE, dropout=0.2, attention_dropout=0.0, relu_dropout=0.0)


def get_config():
  return config.Experiment(
    family="janus",
    model=janus.Config(NET),
    search=janus.Search(beam=5),
    train=config.Train(
      steps=200_000, tokens_per_batch=2_048, max_length=250, validate_every=2_000, keep=5, average=5,
      optimizer=config.Optimizer(learning_rate=7e-4, warmup=10_000, weight_decay=0.01, accumulate=64),
    ),
  )
