"""The NAT of Gu et al. on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges), fine-tuned by its teacher.

  python data_prep/align.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de_aligned
  python bin/train.py --config=configs/nat_fertility_tuned_multi30k.py --data_dir=data/multi30k_en_de_aligned \\
      --warm_start=multi30k_en_de/teacher --workdir=runs/fertility_tuned

The phase "text" trains as configs/nat_fertility_multi30k.py does, from the weights of the run of --warm_start; in the
phase "tuned" that run, an ar of these sizes, judges what the model predicts. Cost: 1,440 and 240 updates of 4,096
padded tokens, one of the latter as long as three of the former or more. Measured on the teacher's translations: test
BLEU 32.3 before and 33.2 after it, ten candidates ranked by the teacher 33.9 and 35.5 (docs/results/one_pass.md).
"""
import dataclasses

from configs import ar_multi30k
from configs import nat_fertility_multi30k
from tf_nar import config
from tf_nar.models import fertility_tuning


def get_config():
  plain = nat_fertility_multi30k.get_config()
  tuning = fertility_tuning.Tuning(share=0.25, teacher=ar_multi30k.get_config().model)
  return dataclasses.replace(
    plain,
    model=dataclasses.replace(plain.model, tuning=tuning),
    phases=(
      config.Phase("text", ("model.tuning.share=0",), start="warm_start"),
      config.Phase("tuned", (
        "train.steps=240", "train.validate_every=60", "train.optimizer.learning_rate=0.0005",
        "train.optimizer.warmup=40", "train.optimizer.cooldown=120"), frozen="warm_start"),
    ),
  )
