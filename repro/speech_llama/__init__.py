"""Speech-LLaMA: a language model that listens (Fathullah et al. 2023) and says several words at once (Raj et al. 2024).
The notes: notes/papers/speech-llama-prompting.md and notes/papers/speech-llama-multi-token.md.

python -m repro.speech_llama.train smoke                    # about a minute on two CPU cores
python -m repro.speech_llama.transcribe FILE.wav --run OUT  # words as they are decided
python -m repro.speech_llama.claims                         # judges the claims from runs/*.json
"""
