"""Deterministic refinement on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/refinement_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/refinement

Four iterations in training; validation translates in four passes. bin/evaluate.py --set=search.passes=10
--set=search.stop=same stops each sentence once a pass does not change it. The last pass is read by ODD, where the paper
removes repeats (--set=search.odd=False). Measured on distilled text, from a teacher's weights: test BLEU 30.3, 31.9,
32.6 and 32.8 after 1, 2, 4 and 10 passes, without ODD 27.8, 30.8, 32.3 and 32.6 (docs/results/passes.md).
"""
from configs import nat_em_multi30k
from tf_nar import config
from tf_nar.models import refinement


def get_config():
  student = nat_em_multi30k.get_config()  # The same sizes and updates, to compare families.
  return config.Experiment(
    family="refinement",
    model=refinement.Config(student.model.net),
    search=refinement.Search(odd=True),  # Chosen on validation text.
    train=student.train,
  )
