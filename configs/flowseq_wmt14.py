"""FlowSeq on WMT14 en-de, the base model of the paper's program.

  python bin/train.py --config=configs/flowseq_wmt14.py --data_dir=data/wmt14_en_de --workdir=runs/flowseq_wmt14

Sizes, flow, dropout and the constants of Adam are those of the paper's program. Differs: there is no AMSGrad, the
learning rate falls with 1 / sqrt(step), and a batch has about 65,000 tokens, not 2,048 sentences. The first phase ends
when the posterior's mean reconstructs 98 % of the tokens of the first 500 pairs of the validation text. Cost: 60,000
updates at most and 150,000, of 65,536 padded tokens. Not measured yet, as it needs an accelerator.
"""
from tf_nar import config
from tf_nar.layers import flow_prior
from tf_nar.layers import transformer
from tf_nar.models import flowseq

NET = transformer.Config(
  width=256, ffn=1024, heads=8, encoder_layers=6, decoder_layers=4, max_length=128, positions="sine", epsilon=1e-5,
  dropout=0.2, dtype="mixed_bfloat16")


def get_config():
  return config.Experiment(
    family="flowseq",
    model=flowseq.Config(NET, flow_prior.Config(ffn=512)),
    search=flowseq.Search(),
    train=config.Train(
      steps=150_000, tokens_per_batch=8_192, max_length=80, validate_every=2_000, keep=5,
      optimizer=config.Optimizer(
        learning_rate=5e-4, warmup=4_000, beta_2=0.999, epsilon=1e-8, weight_decay=1e-3, accumulate=8),
    ),
    phases=(
      config.Phase("reconstruct", (
        "model.reconstruct=True", "train.until=errors<0.02", "train.steps=60000", "train.validate_sentences=500"),
        start="warm_start"),
      config.Phase("bound", ("train.seed=1",)),
    ),
    sweep=("search.odd=False,True",),
  )
