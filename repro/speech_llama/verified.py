"""What must hold of any network, shown on networks with random weights: several tokens a call change nothing of what is
said. Their guesses are sometimes right and mostly wrong, which is what the check wants."""

from __future__ import annotations

import torch

from repro.lab.transformer import Decoder, Shape
from repro.speech_llama.decoding import Recogniser
from repro.speech_llama.model import Encoder, EncoderShape
from repro.speech_llama.multi_token import Kind, make_heads
from repro.speech_llama.prompting import Projector, SpeechLLM

_ENCODER = EncoderShape(n_mels=8, stride=2, n_layers=1, d_model=16, n_heads=2, d_ff=16, kernel=3)
_VOCAB, _MOST = 12, 16


def random_model(kind: Kind, n_tokens: int = 4, seed: int = 0) -> SpeechLLM:
    """Small, and with weights large enough for what is said to depend on what is heard."""
    torch.manual_seed(seed)
    decoder = Decoder(Shape(_VOCAB, 16, 2, 4, 2, 24, max_seq_len=128))
    heads = make_heads(kind, n_tokens, decoder.unembed)
    model = SpeechLLM(Encoder(_ENCODER), Projector(2, 16, decoder), decoder, _VOCAB - 2, _VOCAB - 1, heads)
    for name, weight in model.named_parameters():
        if weight.dim() > 1 and not name.startswith("encoder."):
            torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


@torch.no_grad()
def differing(kind: Kind, utterances: int) -> int:
    """How many of so many utterances are said otherwise by verified than by greedy decoding, on the CPU in fp32."""
    model = random_model(kind)
    lengths = torch.randint(8, 61, (utterances,))
    audio, heard = model.audio(torch.randn(utterances, 60, 8), lengths)
    greedy, verified = (Recogniser(model, utterances, audio.shape[1], _MOST, how)(audio, heard)
                        for how in ("greedy", "verified"))  # fmt: skip
    assert sum(one.calls for one in verified) < sum(one.calls for one in greedy)
    return sum(a.tokens != b.tokens for a, b in zip(greedy, verified, strict=True))
