"""Denoising Diffusion Probabilistic Models (Ho, Jain, Abbeel 2020). The note: notes/papers/ddpm.md.

python -m repro.ddpm.train smoke      # about a minute on two CPU cores
python -m repro.ddpm.eval OUT         # measures a kept checkpoint again
python -m repro.ddpm.claims           # judges the claims from runs/*.json
"""
