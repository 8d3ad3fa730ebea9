"""The AR teacher on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges), after Wu et al. (ACL 2021).

  python bin/train.py --config=configs/ar_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/teacher

Measured: docs/results.md. The published text-only Transformer of this size and recipe: 41.02 BLEU (paper).
"""
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import ar

TINY = transformer.Config(
  width=128, ffn=256, heads=4, encoder_layers=4, decoder_layers=4, max_length=128, positions="sine",
  dropout=0.3, attention_dropout=0.0, relu_dropout=0.0, epsilon=1e-6, dtype="mixed_bfloat16")


def get_config():
  return config.Experiment(
    family="ar",
    model=ar.Config(TINY),
    search=ar.Search(beam=1, extra_length=20),  # Of validation; test with --set=search.beam=5.
    train=config.Train(
      steps=8_000,
      tokens_per_batch=4_096,
      max_length=64,
      buckets=10,
      optimizer=config.Optimizer(learning_rate=0.0035, warmup=1_500),
      log_every=60,
      validate_every=120,  # About an epoch.
      patience=10,
      keep=10,
      average=10,
    ),
  )
