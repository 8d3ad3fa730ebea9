"""A deep encoder and a shallow decoder, 12-1, on WMT14 en-de: the AR model that is fastest for its quality.

Kasai et al., "Deep Encoder, Shallow Decoder" (ICLR 2021, arXiv:2006.10369): an AR model spends most of its time in the
decoder, so a model with one decoder layer and twelve encoder layers is the baseline that a NAR model has to beat.

  python bin/train.py --config=configs/ar_wmt14_shallow.py --data_dir=data/wmt14_en_de --workdir=runs/ar_shallow

Not measured yet, as it needs an accelerator.
"""
import dataclasses

from configs import ar_wmt14


def get_config():
  experiment = ar_wmt14.get_config()
  net = dataclasses.replace(experiment.model.net, encoder_layers=12, decoder_layers=1)
  return dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, net=net))
