"""The likeliest continuations by beam search: what sequence-level distillation trains on (Kim and Rush, section 3.2).

Shapes: B prompts of P tokens, K beams each, L tokens that follow, V vocab_size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from repro.lab.transformer import Cache, Decoder


@torch.no_grad()
def beam_search(
    decoder: Decoder,
    prompts: torch.Tensor,
    width: int,
    new_tokens: int,
    stop: int | None = None,
    tokens: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The `width` best continuations of prompts (B, P): tokens (B, K, L) and their log-probabilities in nats (B, K),
    best first. `stop` ends a continuation: what follows it is `stop` again and adds nothing, so that long and short
    ones compete by their probability alone. Fewer continuations than `width` leave some with a probability of 0. Only
    the first `tokens` of the vocabulary are chosen from."""
    B, P = prompts.shape
    ends = torch.full((1,), -1 if stop is None else stop, device=prompts.device)
    cache = Cache(decoder, B * width, P + new_tokens)
    read = prompts.repeat_interleave(width, 0)  # (B * K, P)
    unembed = decoder.unembed[:tokens]
    made = prompts.new_empty(B, width, 0)
    scores = torch.full((B, width), -torch.inf, device=prompts.device)
    scores[:, 0] = 0.0  # the beams begin equal: all but one would only repeat it
    logits = F.linear(decoder.hidden(read, cache)[:, -1], unembed)
    for i in range(new_tokens):
        log_p = logits.float().log_softmax(-1).view(B, width, -1)
        if i:
            done = (made[:, :, -1] == ends)[..., None]
            is_end = torch.arange(log_p.shape[-1], device=log_p.device) == ends
            log_p = torch.where(done, torch.where(is_end, 0.0, -torch.inf), log_p)
        scores, best = (scores[..., None] + log_p).flatten(1).topk(width, 1)
        parent, token = best // log_p.shape[-1], best % log_p.shape[-1]
        made = torch.cat((made.gather(1, parent[..., None].expand_as(made)), token[..., None]), 2)
        if i + 1 == new_tokens:
            break
        rows = (parent + width * torch.arange(B, device=parent.device)[:, None]).flatten()
        for kept in (t for slot in cache.slots for t in slot):
            kept.copy_(kept[rows])
        at = torch.full((B * width, 1), P + i, device=prompts.device)
        logits = F.linear(decoder.hidden(token.reshape(-1, 1), cache, at)[:, 0], unembed)
    return made, scores
