"""MobileLLM (Liu et al. 2024): the shape of small language models. The note: notes/papers/mobilellm.md.

python -m repro.mobilellm.train smoke      # about a minute on two CPU cores
python -m repro.mobilellm.eval OUT         # bits per byte, multiple choice, speed of a checkpoint
python -m repro.mobilellm.sample OUT       # talk to one
python -m repro.mobilellm.claims           # judges the claims from runs/*.json
"""
