"""Installs `tf_nar`: see `Makefile` for the CPU, `constraints-tpu.txt` for a TPU VM."""
import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).parent
README = (HERE / "README.md").read_text(encoding="utf-8")
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "tf_nar/__init__.py").read_text(encoding="utf-8"))[1]

# Exact versions stand in constraints-*.txt; here is only what the code relies on.
BASE = [
    "absl-py",
    "adjustText",
    "keras>=3.15,<3.16",
    "matplotlib",
    "numpy>=2",
    "rich",
    "sacrebleu>=2.6,<3",
    "sentencepiece",
    "subword-nmt",
    "tqdm",
]
# Both require the distribution `tensorflow` by that name.
TEXT = ["keras-nlp==0.32.*", "tensorflow-text==2.20.*"]
# What TEXT needs beside TensorFlow.
HUB = ["kagglehub", "kagglesdk", "packaging", "regex", "tokenizers"]

setuptools.setup(
    name="tf_nar",
    version=VERSION,
    description="Non-autoregressive translation with TensorFlow and Keras.",
    long_description=README,
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="machine translation, non-autoregressive, EM, CTC, TensorFlow, Keras",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Text Processing :: Linguistic",
        "Typing :: Typed",
    ],
    # The configs are a package of their own, as they extend each other by the name `configs`.
    packages=setuptools.find_packages(include=["tf_nar", "tf_nar.*", "configs"]),
    package_data={"tf_nar": ["py.typed"], "tf_nar.serve": ["*.html", "openapi.json"]},
    entry_points={"console_scripts": ["tf-nar = tf_nar.cli.command:main"]},
    python_requires=">=3.11,<3.13",  # keras 3.15 begins at 3.11.
    install_requires=BASE,
    # TensorFlow is no base dependency: tensorflow, tensorflow-cpu and tensorflow-tpu are distributions that
    # own one folder `tensorflow/`, and pip takes none of them for another. A base dependency on the first is
    # unpacked over the last, whose TPU kernels are then gone ("No OpKernel was registered to support Op
    # 'ConfigureDistributedTPU'").
    extras_require={
        "cpu": ["tensorflow==2.20.*", "tensorboard==2.20.*", *TEXT],
        "gpu": ["tensorflow[and-cuda]==2.20.*", "tensorboard==2.20.*", *TEXT],
        # Not TEXT, for the same reason: constraints-tpu.txt says how it follows.
        "tpu": ["tensorflow-tpu==2.20.*", "libtpu", "tensorboard==2.20.*", *HUB],
        # For bin/check_tpu.py --compile_for, in an environment of its own, as this libtpu is jax's:
        #   python -m venv ~/tpu_check; ~/tpu_check/bin/pip install '.[tpu_check]'
        # Exact versions, for private names of jax are used.
        "tpu_check": ["jax==0.10.2", "libtpu==0.0.51"],
        # For bin/export_ct2.py, and for the rival in bin/latency.py.
        "ct2": ["ctranslate2>=4.8,<5"],
        # For bin/export_openvino.py, whose folders need openvino alone; nncf quantises the weights.
        "openvino": ["nncf>=3.4,<4", "openvino>=2026.4,<2027"],
        # For --runner of data_prep/prepare.py and bin/distill.py; constraints-beam.txt says how it is installed.
        "beam": ["apache-beam==2.77.*"],
        "docs": ["mkdocs<2", "mkdocs-material"],  # The pages of docs/ as a site: mkdocs serve.
        "serve": ["prometheus-client", "starlette", "uvicorn"],
        # starlette's TestClient is of httpx2; selenium drives Chromium, which the system must have; TensorFlow
        # Serving's messages are those of docs/serving.md.
        "dev": ["httpx2", "pytest", "pytest-timeout", "pytest-xdist", "ruff", "selenium", "tensorflow-serving-api"],
    },
)
