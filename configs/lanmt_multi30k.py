"""LaNMT with latents of the target on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/lanmt_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/lanmt

Two phases: "budget", in which one nat of KL at each position is free, and less and less of it in the second half; then
"bound", without. With --warm_start=TEACHER the encoder, the embeddings and equal parts of the decoder begin as the
teacher's. Latents of the source: --set=model.latent.axis=source. Cost: 2,880 updates of 4,096 padded tokens; with
another --set=train.steps set model.budget.delay and model.budget.updates to half of it too. Measured so on a teacher's
translations, with --warm_start=multi30k_en_de/teacher, two seeds, the first in float32: test BLEU 33.5 and 33.0 by the
prior mean, 34.0 and 33.2 after two delta steps, 36.9 and 36.2 ranked by the teacher; on the original text 31.9, 32.4
and 36.4 (docs/results/latents.md).
"""
import dataclasses

from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import lanmt
from tf_nar.ops import schedule

PHASES = (
  config.Phase("budget", ("train.optimizer.cooldown=0",), start="warm_start"),
  config.Phase("bound", (
    "model.budget.start=0.0", "model.budget.delay=0", "train.seed=1", "train.optimizer.warmup=120",
    "train.optimizer.learning_rate=0.0015")),
)


def get_config():
  student = nat_em_multi30k.get_config()  # The same sizes and updates, to compare families.
  half = student.train.steps // 2
  return config.Experiment(
    family="lanmt",
    model=lanmt.Config(
      student.model.net, budget=schedule.Linear(1.0, 0.0, updates=half, delay=student.train.steps - half)),
    search=lanmt.Search(),
    train=dataclasses.replace(student.train, patience=0),
    phases=PHASES,
    sweep=("search.refine=none,delta", "search.odd=False,True"),
  )
