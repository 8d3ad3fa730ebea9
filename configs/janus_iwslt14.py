"""JANUS on IWSLT14 de-en, with the sizes and settings of its program's script.

  python bin/train.py --config=configs/janus_iwslt14.py --data_dir=data/iwslt14_de_en --workdir=runs/janus_iwslt14
  python bin/translate.py --workdir=runs/janus_iwslt14 --set=search.mode=nar --set=search.candidates=3 \\
      --set=search.passes=11 --set=search.min_masked=0 --input=test.de

The second command is the program's non-autoregressive search but for its three lengths, which are consecutive there:
what it calls 10 iterations are 11 passes. Two micro-batches of 4,096 tokens make an update, as its two GPUs do.
Not measured yet, as it needs an accelerator.
"""
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import janus

NET = transformer.Config(
  width=512, ffn=1024, heads=4, dropout=0.3, attention_dropout=0.0, relu_dropout=0.0, max_length=192)


def get_config():
  return config.Experiment(
    family="janus",
    model=janus.Config(NET),
    search=janus.Search(beam=5),
    train=config.Train(
      steps=200_000, tokens_per_batch=4_096, max_length=175, validate_every=2_000, keep=5, average=5,
      optimizer=config.Optimizer(learning_rate=5e-4, warmup=10_000, weight_decay=1e-4, accumulate=2),
    ),
  )
