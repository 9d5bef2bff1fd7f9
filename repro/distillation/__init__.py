"""Distillation, four papers in one folder, each with its note in notes/papers/: Hinton et al. 2015 (soft-targets.md),
Kim and Rush 2016 (sequence-level-kd.md), MiniLLM (minillm.md) and GKD (gkd.md).

python -m repro.distillation.train smoke          # Hinton's on digits, 20 seconds on a quiet core
python -m repro.distillation.train cpu-reverse    # one student of a byte-level teacher, one to five minutes
python -m repro.distillation.claims               # judges the claims from runs/*.json
"""
