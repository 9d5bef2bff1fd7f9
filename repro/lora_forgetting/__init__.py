"""LoRA learns less and forgets less (Biderman et al. 2024). The note: notes/papers/lora-forgets-less.md.

python -m repro.lora_forgetting.train smoke      # a base and all its arms, about a minute on two CPU cores
python -m repro.lora_forgetting.eval OUT         # what the arm of a run has learnt and forgotten
python -m repro.lora_forgetting.claims           # judges the claims from runs/*.json
"""
