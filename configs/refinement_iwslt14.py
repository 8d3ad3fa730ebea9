"""Deterministic refinement on IWSLT14 de-en; sizes and schedule as configs/nat_em_iwslt14.py.

  python bin/train.py --config=configs/refinement_iwslt14.py --data_dir=data/iwslt14_de_en \\
      --workdir=runs/refinement_iwslt14

Not measured yet, as it needs an accelerator. The paper trains on a teacher's translations; see bin/em.py.
"""
from configs import nat_em_iwslt14
from tf_nar import config
from tf_nar.models import refinement


def get_config():
  student = nat_em_iwslt14.get_config()
  return config.Experiment(
    family="refinement",
    model=refinement.Config(student.model.net),
    search=refinement.Search(passes=10, stop="same"),
    train=student.train,
  )
