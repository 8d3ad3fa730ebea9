"""The AR teacher on WMT14 en-de, the base model of the original program.

The settings are those of its launch scripts: about 1,280 sentences per update, in eight micro-batches.

  python bin/train.py --config=configs/ar_wmt14.py --data_dir=data/wmt14_en_de --workdir=runs/ar_wmt14

Not measured yet, as it needs an accelerator.
"""
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import ar


def get_config():
  return config.Experiment(
    family="ar",
    model=ar.Config(transformer.BASE),
    search=ar.Search(beam=5, alpha=0.6, extra_length=20),
    train=config.Train(
      steps=125_000, tokens_per_batch=5_120, max_length=250, validate_every=2_000, keep=5,
      optimizer=config.Optimizer(
        learning_rate=0.05, warmup=4_000, schedule="nat_em", bias_correction=False, weight_decay=1e-4,
        accumulate=8),
    ),
  )
