"""Speed of a speech-prompted language model on one GPU, training and decoding, beside transformers in the same run; one
JSON line a figure.

    python benchmarks/gpu/speech.py [--peer] [--profile] [--seconds N] [--only train|decode] [--run OUT [--arm NAME]]

The paper's encoder (18 Conformer blocks of width 512, 80 ms a step) before SmolLM2-135M's shape (30 layers, width 576,
49,152 tokens) with LoRA of rank 8 on q, k, v and o; the encoder is trained. Random weights; 32 utterances of 6 to 16 s
with 20 to 60 tokens a step, bf16: forward, loss, backward, clipping, AdamW. Decoding is of 64 utterances of 10 s, 40
tokens each. The peer is transformers' Parakeet encoder of as many blocks, width and feed-forward parameters (its blocks
have two half ones), its Llama, and peft's LoRA, in processes of its own. As people join them, its front end of
two-dimensional convolutions works harder than ours of one dimension, and logits are made over audio too; `even` is the
compiled peer with our front end and logits of the text alone. Its relative positions remain. Decoding is told without
the encoder, whose own time stands beside it: ours captured, the peer's as it comes. `peak_gib` is reserved memory,
captured graphs' pools included.

Verified decoding is timed at its two ends: no guess right, which is what reading four places instead of one costs, and
every guess right. `--run OUT` times a trained model on its own test, and counts its calls and its ties in bf16; `--arm`
names one that has heads where the first has none.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from timing import apart, say, seconds_a_call, show_profile
from torch import nn
from torch.nn import functional as F

from repro.lab.data import step_seed
from repro.lab.distributed import World
from repro.lab.memory import release
from repro.speech_llama import data, features, transcribe
from repro.speech_llama.config import Config
from repro.speech_llama.decoding import How, Recogniser
from repro.speech_llama.measure import audio_of, batches, most_tokens, tokens_per_call
from repro.speech_llama.model import Subsample
from repro.speech_llama.prompting import SpeechLLM
from repro.speech_llama.system import System, encoder_shape, stages
from repro.speech_llama.train import Step, make_state
from repro.speech_llama.utterances import Utterance
from repro.speech_llama.vocabulary import Listed

DEVICE = torch.device("cuda")
B, FRAMES, TOKENS = 32, (600, 1600), (20, 60)
CONFIG = Config(
    decoder="random", init="random", n_layers=30, d_model=576, n_heads=9, n_kv_heads=3, d_ff=1536, stride=8,
    encoder_layers=18, d_encoder=512, encoder_heads=8, d_encoder_ff=2048, kernel=11, stack=1, steps=1000, batch_size=B,
    precision="bf16", compile=True,
)  # fmt: skip
VOCAB = 49_152
UTTERANCES, AUDIO_S, NEW = 64, 10.0, 40  # of decoding
torch.backends.cuda.matmul.allow_tf32 = True  # here, so that a process of a case's own has it too


def random_speech(n: int = 8 * B) -> data.Speech:
    """Utterances out of nowhere, as repro.speech_llama.data would bring them."""
    g = torch.Generator().manual_seed(0)
    frames = torch.randint(*FRAMES, (n,), generator=g)
    levels = torch.randint(256, (int(frames.sum()), 80), generator=g, dtype=torch.uint8)
    texts = [
        " ".join(
            map(str, torch.randint(VOCAB - 2, (int(torch.randint(*TOKENS, (), generator=g)),), generator=g).tolist())
        )
        for _ in range(n)
    ]
    spoken = [Utterance(str(i), t, "", "train", "train", "", "", lambda: None) for i, t in enumerate(texts)]  # type: ignore[arg-type, return-value]
    heard = features.Speech(levels.to(DEVICE), frames.cumsum(0) - frames, frames, texts, spoken, "random", DEVICE)
    units = Listed("words", tuple(map(str, range(VOCAB - 2))))
    split = data.Split(heard, heard.rows("train"), units, units)
    return data.Speech("random", Listed("words", ("a",)), units, split, split)


def measured(case: str, call: Callable[[int], Any], audio_s: float, seconds: float) -> None:
    """In a process, or after `release`, whose memory is this case's alone from its first call on."""
    took = seconds_a_call(call, seconds)
    peak = round(torch.cuda.max_memory_reserved() / 2**30, 2)
    say(case, f"training step, {B} utterances", audio_s / took, "audio s/s", ms=round(took * 1e3, 3), peak_gib=peak)


def taken(speech: data.Speech) -> tuple[list[tuple[torch.Tensor, int]], float]:
    """The batches of a pool, all as wide as its widest, and the seconds of audio in one of them on average."""
    order = data.Batches(speech.train.lengths, B, 0)
    found = [(order(i)[0], order.widths[-1]) for i in range(8)]
    audio = statistics.mean(sum(speech.train.lengths[i] for i in rows.tolist()) / 100 for rows, _ in found)
    return found, audio


def ours(seconds: float, profile: bool) -> None:
    torch.cuda.reset_peak_memory_stats()
    w, speech = World(0, 1, DEVICE), random_speech()
    state = make_state(CONFIG, speech, w)
    model = state.model
    assert isinstance(model, System)
    model.begin("main")
    step = Step(CONFIG, stages(CONFIG)[0], speech, state, w)
    pool, audio = taken(speech)

    def call(i: int) -> None:
        torch.manual_seed(step_seed(0, i))
        step(i % CONFIG.steps, *pool[i % len(pool)])

    began = time.monotonic()
    call(0)
    torch.cuda.synchronize()
    arm = model.arm("main")
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in arm.named_children()}
    say("ours, captured", "first step", time.monotonic() - began, "s", parameters=counts)
    measured("ours, captured", call, audio, seconds)
    if profile:
        show_profile(lambda: call(1))


class FrontEnd(nn.Module):
    """Our convolutions in the place of Parakeet's."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = Subsample(encoder_shape(CONFIG))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.convolutions(x, mask.sum(-1))[0]
        return found


class Peer(nn.Module):
    """transformers' parts, joined as its users join them: audio padded in front of the text, a mask over both. `even`:
    with our front end, and logits of the text alone."""

    def __init__(self, even: bool = False) -> None:
        super().__init__()
        self.even = even
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaConfig, LlamaForCausalLM, ParakeetEncoder, ParakeetEncoderConfig

        c = CONFIG
        self.encoder = ParakeetEncoder(
            ParakeetEncoderConfig(
                hidden_size=c.d_encoder, num_hidden_layers=c.encoder_layers, num_attention_heads=c.encoder_heads,
                intermediate_size=c.d_encoder_ff // 2, conv_kernel_size=c.kernel, subsampling_factor=c.stride,
                num_mel_bins=80, dropout=0.0, activation_dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
            )
        )  # fmt: skip
        llama = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=VOCAB, hidden_size=c.d_model, num_hidden_layers=c.n_layers, num_attention_heads=c.n_heads,
                num_key_value_heads=c.n_kv_heads, intermediate_size=c.d_ff, max_position_embeddings=2048,
                tie_word_embeddings=True, attn_implementation="sdpa", use_cache=False,
            )
        ).to(torch.bfloat16)  # fmt: skip
        lora = LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "k_proj", "v_proj", "o_proj"])
        self.llama = get_peft_model(llama, lora)
        self.proj = nn.Linear(c.d_encoder, c.d_model, bias=False)
        if even:
            self.encoder.subsampling = FrontEnd()

    def audio(self, x: torch.Tensor, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = torch.arange(x.shape[1], device=x.device) < frames[:, None]
        found = self.encoder(x, attention_mask=mask)
        return self.proj(found.last_hidden_state), found.attention_mask

    def forward(
        self, x: torch.Tensor, frames: torch.Tensor, tokens: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        audio, heard = self.audio(x, frames)
        bos = tokens.new_full((len(tokens), 1), VOCAB - 2)
        given = torch.cat((bos, tokens), 1)
        kept = torch.arange(given.shape[1], device=tokens.device) <= counts[:, None]
        labels = torch.cat((given.new_full(audio.shape[:2], -100), given.masked_fill(~kept, -100)), 1)
        embedded = self.llama.get_input_embeddings()(given)
        inputs = torch.cat((audio.to(embedded.dtype), embedded), 1)
        mask = torch.cat((heard.long(), kept.long()), 1)
        if self.even:
            llama = self.llama.base_model.model
            hidden = llama.model(inputs_embeds=inputs, attention_mask=mask).last_hidden_state[:, audio.shape[1] :]
            logits = llama.lm_head(hidden[:, :-1]).float()
            return F.cross_entropy(logits.flatten(0, 1), labels[:, audio.shape[1] + 1 :].flatten())
        loss: torch.Tensor = self.llama(inputs_embeds=inputs, attention_mask=mask, labels=labels).loss
        return loss


def peer(how: str, seconds: float, profile: bool) -> None:
    """In the step that transformers' Trainer takes: autocast, clip, fused AdamW."""
    torch.manual_seed(0)
    model, speech = Peer(even=how == "even").to(DEVICE).train(), random_speech()
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(trained, lr=1e-4, fused=DEVICE.type == "cuda")
    forward = model if how == "eager" else torch.compile(model)
    pool, audio = taken(speech)
    split = speech.train

    def call(i: int) -> None:
        rows, width = pool[i % len(pool)]
        x, frames = split.take(rows, width)  # x is on the device already
        given = [features.sent(t, DEVICE) for t in (frames, *split.tokens.take(rows))]
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = forward(x, *given)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        adam.step()
        adam.zero_grad()

    encoder = sum(p.numel() for p in model.encoder.parameters())
    say(f"transformers, {how}", "parameters of the encoder", encoder, "parameters")
    measured(f"transformers, {how}", call, audio, seconds)
    if profile:
        show_profile(lambda: call(1), 25)


# Decoding


def timed(call: Callable[[], Any], repeats: int = 5) -> tuple[Any, float]:
    """What a call gives, and the median of some repeats after one that warms up, in seconds."""
    took = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        began = time.monotonic()
        found = call()
        torch.cuda.synchronize()
        took.append(time.monotonic() - began)
    return found, statistics.median(took[1:])


def model_of(n_tokens: int, right: bool) -> SpeechLLM:
    """Random weights that never end; with `right` every logit is alike, so that each head says token 0 and is right."""
    config = replace(CONFIG, n_tokens=n_tokens)
    speech = random_speech(B)
    state = make_state(config, speech, World(0, 1, DEVICE))
    assert isinstance(state.model, System)
    model = state.model.arm("main").eval()
    model.eos = -1
    if model.heads is not None:
        nn.init.normal_(next(model.heads.parameters()))
    if right:
        model.decoder.embed.weight.data.zero_()
    return model


@torch.no_grad()
def decoding(batch: int, n_tokens: int, right: bool = False, profile: bool = False) -> None:
    """Ours: the encoder, then the decoder."""
    model = model_of(n_tokens, right)
    frames = int(100 * AUDIO_S)
    x = torch.randn(batch, frames, 80, device=DEVICE)
    lengths = torch.full((batch,), frames, device=DEVICE)

    ear = transcribe.Ear(model, batch, frames, half=True, captured=True)
    (audio, heard), encoder_s = timed(lambda: ear(x, lengths))
    how: How = "greedy" if n_tokens == 1 else "verified"
    recogniser = Recogniser(model, batch, audio.shape[1], NEW, how, dtype=torch.bfloat16)
    said, took = timed(lambda: recogniser(audio, heard))
    assert all(len(one.tokens) == NEW for one in said)
    case = "one token a call" if n_tokens == 1 else f"{n_tokens} a call, guesses {'right' if right else 'wrong'}"
    calls = statistics.mean(one.calls for one in said)
    assert recogniser.first is not None and recogniser.graph is not None
    _, reading = timed(recogniser.first.replay)
    say(
        f"ours, captured, {case}", f"decoding {batch} of {AUDIO_S:g} s, {NEW} tokens", took, "s",
        calls=calls, reading_ms=round(1e3 * reading, 3), ms_a_call=round(1e3 * (took - reading) / (calls - 1), 3),
        encoder_s=round(encoder_s, 4),
        real_time=round(batch * AUDIO_S / (took + encoder_s), 1),
    )  # fmt: skip
    if profile:
        for graph in (recogniser.first, recogniser.graph):
            show_profile(graph.replay, 25)


@torch.no_grad()
def peer_decoding(batch: int) -> None:
    torch.manual_seed(0)
    model = Peer().to(DEVICE).eval()
    llama = model.llama.merge_and_unload().to(torch.bfloat16)
    llama.config.use_cache = True
    frames = int(100 * AUDIO_S)
    x = torch.randn(batch, frames, 80, device=DEVICE)
    lengths = torch.full((batch,), frames, device=DEVICE)

    def encode() -> torch.Tensor:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            return model.audio(x, lengths)[0]

    audio, encoder_s = timed(encode)
    bos = llama.get_input_embeddings()(torch.full((batch, 1), VOCAB - 2, device=DEVICE))
    inputs = torch.cat((audio.to(bos.dtype), bos), 1)
    more = {
        "max_new_tokens": NEW,
        "min_new_tokens": NEW,
        "do_sample": False,
        "use_cache": True,
        "cache_implementation": "static",
    }
    mask = torch.ones(inputs.shape[:2], dtype=torch.long, device=DEVICE)
    made, took = timed(lambda: llama.generate(inputs_embeds=inputs, attention_mask=mask, pad_token_id=0, **more), 3)
    assert made.shape[1] == NEW
    say(
        "transformers, static cache", f"decoding {batch} of {AUDIO_S:g} s, {NEW} tokens", took, "s",
        encoder_s=round(encoder_s, 4), real_time=round(batch * AUDIO_S / (took + encoder_s), 1),
    )  # fmt: skip


@torch.no_grad()
def of_run(folder: Path, arm: str, batch: int) -> None:
    """A trained model on its own test: calls, seconds, and how often bf16 makes verified and greedy differ."""
    opened, name = transcribe.open_run(folder, arm), f"{folder.name} {arm}".strip()
    model, config = opened.speech, opened.config
    speech = data.load(config, DEVICE)
    most = most_tokens(config, speech)
    parts = []
    for rows, width in batches(speech.test, batch):
        parts.append(audio_of(config, model, speech.test, rows, width))
    widest = max(audio.shape[1] for audio, _ in parts)
    for dtype in (torch.float32, torch.bfloat16):
        strings: dict[str, list[list[int]]] = {}
        for how in ("greedy", *(("verified",) if model.heads is not None else ())):
            release()
            recogniser = Recogniser(model, batch, widest, most, how, dtype=dtype)  # type: ignore[arg-type]
            said, took = timed(lambda r=recogniser: [one for part in parts for one in r(*part)], 3)  # type: ignore[misc]
            strings[how] = [one.tokens for one in said]
            say(f"{name}, {how}, {str(dtype)[6:]}", f"decoding its test, batch {batch}", took, "s",
                tokens_per_call=round(tokens_per_call(said), 3), utterances=len(said))  # fmt: skip
        if len(strings) == 2:
            differing = sum(a != b for a, b in zip(strings["greedy"], strings["verified"], strict=True))
            say(f"{name}, {str(dtype)[6:]}", "utterances that verified says otherwise", differing, "utterances")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="store_true", help="measure transformers too")
    parser.add_argument("--profile", action="store_true", help="print what our captured steps are made of")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each figure of training")
    parser.add_argument("--only", choices=["train", "decode"], help="one half")
    parser.add_argument("--run", type=Path, help="a trained model's folder: time it on its own test, and nothing else")
    parser.add_argument("--arm", default="", help="which of its variants; the first where none is named")
    asked = parser.parse_args()
    if asked.run is not None:
        torch.backends.cuda.matmul.allow_tf32 = False
        for batch in (1, 64):
            of_run(asked.run, asked.arm, batch)
            release()
        return
    if asked.only != "decode":
        ours(asked.seconds, asked.profile)
        release()
        for how in ("eager", "compiled", "even") if asked.peer else ():
            apart(peer, how, asked.seconds, asked.profile and how == "compiled")
    if asked.only != "train":
        for batch in (UTTERANCES, 1):
            for n_tokens, right in ((1, False), (4, False), (4, True)):
                decoding(batch, n_tokens, right, asked.profile and n_tokens == 1)
                release()
            if asked.peer:
                apart(peer_decoding, batch)


if __name__ == "__main__":
    main()
