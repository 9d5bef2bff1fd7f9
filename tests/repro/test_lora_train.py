"""A base, its control and arms in one run: restarts, ranks, schedules, what is told and what is not."""

from __future__ import annotations

import bz2
import gc
import json
import math
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from decoders import tiny

from repro.lab import hub, tokenizers
from repro.lab.distributed import World
from repro.lab.lora import layers
from repro.lab.recipe import Command
from repro.lab.transformer import TokenLoss
from repro.lora_forgetting import data, eval, figures, model
from repro.lora_forgetting import train as train_module
from repro.lora_forgetting.config import RECIPES, Config
from repro.lora_forgetting.data import load
from repro.lora_forgetting.experiment import make_state, stages
from repro.lora_forgetting.model import arm_of
from repro.lora_forgetting.sandbox import refusal
from repro.lora_forgetting.train import learning_rate, load_run, train, trapezoid

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
ALONE = World(0, 1, torch.device("cpu"))
SMALL = Config(
    symbols=8, d_model=32, n_layers=1, n_heads=2, d_ff=40, seq_len=16, batch_size=8, base_steps=12, base_lr=1e-2,
    control_steps=6, steps=5, r=2, arms=("full-lr0.01 method=full lr=0.01", "lora-r2-lr0.03 lr=0.03"), log_every=2,
    measure=("loss", "spectrum"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(data, "POOL", 256)
    monkeypatch.setattr(data, "HELD_OUT", 64)


def run(out: Path, config: Config = SMALL, minutes: float = float("inf")):
    return train(Command("tiny", config, out, minutes), ALONE)


def record(out: Path) -> dict:
    return json.loads((out / "record.json").read_text())


def test_stages_follow_each_other():
    found = stages(SMALL)
    assert [(s.name, s.on_source, s.begins, s.ends) for s in found] == [
        ("base", True, 0, 12), ("control", True, 12, 18), ("full-lr0.01", False, 18, 23),
        ("lora-r2-lr0.03", False, 23, 28),
    ]  # fmt: skip
    assert found[1].config.lr == pytest.approx(SMALL.base_lr / 3) and found[2].config.method == "full"
    with pytest.raises(ValueError, match="set --control-steps"):
        stages(replace(SMALL, control_steps=0))
    given = replace(SMALL, domain="text", base="folder")
    for odd in (
        SMALL, given, replace(given, base_steps=0), replace(given, base="smollm2", base_steps=0, control_steps=0)
    ):  # fmt: skip
        with pytest.raises(ValueError, match="--trusted is for a checkpoint as it is"):
            stages(replace(odd, trusted=True))


def test_a_trapezoid_has_its_own_cool_down():
    short, long = ([trapezoid(i, peak=1.0, warmup=4, total=n) for i in range(n)] for n in (20, 40))
    assert short[:4] == [0.25, 0.5, 0.75, 1.0] and short[4:16] == [1.0] * 12
    assert short[16:] == pytest.approx([1.0, 0.75, 0.5, 0.25])
    assert long[16:20] == [1.0] * 4 and long[-1] == pytest.approx(1 / 8)  # not read off the shorter run
    cosine = replace(SMALL, schedule="cosine", steps=100, lr=1.0)
    assert learning_rate(cosine, 9) == 1.0 and learning_rate(cosine, 99) == pytest.approx(0.01, abs=0.001)


def test_it_learns_and_forgets_and_says_so(tmp_path):
    config = replace(
        SMALL, base_steps=300, control_steps=60, steps=60, batch_size=16,
        arms=(*SMALL.arms, "wd method=full lr=0.01 weight_decay=1", "drop method=full lr=0.01 attention_dropout=0.3"),
    )  # fmt: skip
    run(tmp_path / "a", config)
    found = record(tmp_path / "a")
    m = found["metrics"]
    assert found["done"] and m["at_plateau"] == 1 and "Markov language A" in found["data"]
    assert m["control_before_nats"] < math.log(8) and m["full-lr0.01_target_nats"] < m["lora-r2-lr0.03_target_nats"]
    assert m["full-lr0.01_forgot_nats"] > 0.2 and m["lora-r2-lr0.03_forgot_nats"] > 0.05
    assert m["full-lr0.01_rank_mlp"] > 2 and "lora-r2-lr0.03_rank_mlp" not in m
    assert m["lora-r2-lr0.03_change"] > 0
    assert len({m[f"{arm}_target_nats"] for arm in ("full-lr0.01", "wd", "drop")}) == 3
    assert found["figures"] == ["tiny-s0-fronts.png"] and (tmp_path / "a/tiny-s0-fronts.png").stat().st_size < 200_000
    said = json.loads((tmp_path / "a/arms.json").read_text())
    optimum = load(config, torch.device("cpu")).source.optimum_nats
    assert set(said["base"]) == {"target_nats", "source_nats"}  # nothing of it has changed
    # arms begin where the base was before the control
    assert m["control_before_nats"] - optimum == pytest.approx(m["base_source_nats"], abs=1e-5)
    assert m["control_after_nats"] != m["control_before_nats"] and m["base_target_nats"] > m["wd_target_nats"]
    forgot = said["wd"]["source_nats"] - said["base"]["source_nats"]
    assert m["wd_forgot_nats"] == pytest.approx(forgot, abs=1e-5)


def test_forgetting_of_a_base_that_still_learns_is_not_told(tmp_path, capsys):
    run(tmp_path / "a")
    m = record(tmp_path / "a")["metrics"]
    assert m["at_plateau"] == 0 and m["control_before_nats"] > 1.01 * m["control_after_nats"]
    assert not [name for name in m if "forgot" in name or ("source" in name and not name.startswith("base_"))]
    assert "full-lr0.01_target_nats" in m and record(tmp_path / "a")["figures"] == []
    assert "the base is at no plateau" in capsys.readouterr().err


def test_arms_begin_at_the_base_before_the_control(tmp_path):
    """However much the control changes: with no step of their own they are that base."""
    run(tmp_path / "a", replace(SMALL, control_steps=30, base_lr=0.5, arms=("x method=full lr=0",)))
    said = json.loads((tmp_path / "a/arms.json").read_text())
    assert said["x"] == pytest.approx(said["base"] | {"change": 0.0}, abs=1e-6)
    m = record(tmp_path / "a")["metrics"]
    optimum = load(SMALL, ALONE.device).source.optimum_nats
    assert m["base_source_nats"] + optimum == pytest.approx(m["control_before_nats"], abs=1e-5)
    assert abs(m["control_after_nats"] - m["control_before_nats"]) > 0.1


def test_an_arm_is_no_longer_than_the_control(tmp_path):
    longer = replace(SMALL, arms=(*SMALL.arms, "long steps=7"))
    with pytest.raises(
        SystemExit, match="long trains on 896 tokens and the base's control on 768, which tells nothing"
    ):
        run(tmp_path / "a", longer)
    run(tmp_path / "b")
    assert model.control_of(tmp_path / "b/base").tokens == 768


def test_what_is_told_of_an_arm():
    base = {"target_nats": 4.0, "source_nats": 2.0, "source_bits_per_byte": 1.0, "x_nats": 4.5, "x_bits_per_byte": 2.0}
    found = {
        "target_nats": 1.0, "target_bits_per_byte": 0.5, "source_nats": 3.0, "source_bits_per_byte": 1.4, "x_nats": 5.0,
        "x_bits_per_byte": 2.2, "source_accuracy": 0.3, "hellaswag": 0.3, "rank_mlp": 4.0,
    }  # fmt: skip
    assert eval.told(found, base, True) == pytest.approx({
        "target_nats": 1.0, "target_bits_per_byte": 0.5, "source_accuracy": 0.3, "hellaswag": 0.3, "rank_mlp": 4.0,
        "forgot_nats": 1.0, "forgot_bits_per_byte": 0.4, "forgot_x_nats": 0.5, "forgot_x_bits_per_byte": 0.2,
    })  # fmt: skip
    assert eval.told(found, base, False) == {"target_nats": 1.0, "target_bits_per_byte": 0.5, "rank_mlp": 4.0}


def test_a_stage_leaves_nothing_compiled_behind(tmp_path, monkeypatch):
    """Each begins with Dynamo's count of versions at nothing, and the step before is gone."""
    alive, seen = weakref.WeakSet(), []

    class Watched(train_module.Step):
        def __init__(self, *args):
            seen.append(len(alive))
            super().__init__(*args)
            alive.add(self)

    resets = []
    monkeypatch.setattr(train_module, "Step", Watched)
    monkeypatch.setattr(torch.compiler, "reset", lambda: resets.append(len(alive)))
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: None)
    gc.disable()
    try:
        run(tmp_path / "a", replace(SMALL, compile=True))
    finally:
        gc.enable()
    assert seen == [0, 0, 0, 0] and len(resets) == 8


def test_every_stage_is_compiled_whatever_came_before(tmp_path, monkeypatch):
    """Three ranks make more versions of a block than Dynamo may keep here; what exceeds them would run uncompiled."""
    with_inductor = TokenLoss.compile
    monkeypatch.setattr(TokenLoss, "compile", lambda self: with_inductor(self, backend="eager"))
    config = replace(SMALL, compile=True, base_steps=2, control_steps=2, steps=2, n_layers=2, measure=("loss",),
                     arms=("a r=2", "b r=3", "c r=4"))  # fmt: skip
    torch.compiler.reset()
    with torch._dynamo.config.patch(recompile_limit=4, fail_on_recompile_limit_hit=True):
        run(tmp_path / "a", config)
    torch.compiler.reset()
    assert record(tmp_path / "a")["done"]


def test_a_step_of_many_micro_batches_is_not_captured(monkeypatch):
    monkeypatch.setattr(train_module, "captured", lambda run, state, w: "captured")
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: None)
    domain = load(SMALL, ALONE.device).target
    for accum, known in ((1, True), (8, True), (16, False)):
        config = replace(SMALL, compile=True, accum=accum)
        step = train_module.Step(config, domain, make_state(config, tiny(), ALONE), ALONE)
        assert (step.take == "captured") is known


def weights(state) -> torch.Tensor:
    return torch.cat([p.detach().double().flatten() for p in state.model.parameters()])


def test_stopped_and_resumed_is_bitwise_the_same(tmp_path):
    """Whichever stage it is stopped in, and at their borders."""
    config = replace(SMALL, base_steps=4, control_steps=3, steps=3)
    whole = run(tmp_path / "whole", config)
    for _ in range(40):
        state = run(tmp_path / "cut", config, minutes=0.0)
        if record(tmp_path / "cut")["done"]:
            break
    assert len(record(tmp_path / "cut")["segments"]) == 13
    assert torch.equal(weights(state), weights(whole))
    assert record(tmp_path / "cut")["metrics"] == record(tmp_path / "whole")["metrics"]
    assert (tmp_path / "cut/arms.json").read_text() == (tmp_path / "whole/arms.json").read_text()
    assert run(tmp_path / "whole", config) is None  # done


def test_every_arm_begins_at_the_base_whatever_came_before(tmp_path):
    run(tmp_path / "a")
    run(tmp_path / "b", replace(SMALL, arms=SMALL.arms[::-1]))
    one, two = (json.loads((tmp_path / name / "arms.json").read_text()) for name in "ab")
    assert one == two and len(one) == 3


def test_the_control_goes_on_with_the_data_and_arms_begin_anew(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "repro.lora_forgetting.train.batch_indices", lambda n, size, seed, step, device: seen.append(step) or rows
    )
    rows = torch.arange(8)
    run(tmp_path / "a")
    assert seen == [*range(18), *range(5), *range(5)]


def test_micro_batches_are_one_batch(tmp_path):
    one, many = run(tmp_path / "one"), run(tmp_path / "many", replace(SMALL, accum=4))
    torch.testing.assert_close(weights(many), weights(one), rtol=1e-3, atol=1e-4)


def test_two_ranks_are_one_process(tmp_path):
    config = replace(SMALL, r=16, arms=("lora-r2-lr0.03 r=2 lr=0.03",), base_steps=4, steps=3)  # --r is torchrun's
    program = "from repro.lora_forgetting import data, train; data.POOL, data.HELD_OUT = 256, 64; train.main()"
    (tmp_path / "program.py").write_text(program)
    changed = {k: v for k, v in vars(config).items() if v != vars(Config())[k]}
    given = []
    for name, value in changed.items():
        given += [f"--{name.replace('_', '-')}", *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "program.py", "smoke", *given]
    ended = subprocess.run(
        [sys.executable, *launch, "--out", "two"], cwd=tmp_path, text=True, timeout=180, capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    one = run(tmp_path / "one", config)
    saved = torch.load(tmp_path / "two/last.pt", weights_only=True)["model"]
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(saved[name], value, rtol=1e-4, atol=1e-5)
    alone, two = record(tmp_path / "one")["metrics"], record(tmp_path / "two")["metrics"]
    assert two == pytest.approx(alone, rel=1e-3, abs=1e-4)


def test_the_last_arm_of_a_run_is_read_back(tmp_path, capsys):
    state = run(tmp_path / "a")
    config, decoder, base = load_run(tmp_path / "a")
    assert config.method == "lora" and layers(decoder) and not layers(base)
    assert torch.equal(torch.cat([p.detach().double().flatten() for p in decoder.parameters()]), weights(state))
    said = json.loads((tmp_path / "a/arms.json").read_text())
    known = said["lora-r2-lr0.03"] | {f"base_{name}": value for name, value in said["base"].items()}
    known["forgot_nats"] = known["source_nats"] - known["base_source_nats"]
    known.pop("change")
    whole = json.loads((tmp_path / "a/record.json").read_text())
    for flat in (1.0, 0.0):
        whole["metrics"]["at_plateau"] = flat
        (tmp_path / "a/record.json").write_text(json.dumps(whole))
        eval.main([str(tmp_path / "a")])
        told, warned = capsys.readouterr()
        shown = known if flat else {"target_nats": known["target_nats"]}
        assert json.loads(told) == pytest.approx(shown, abs=1e-5)
        assert ("nothing is told of the source" in warned) is not bool(flat)
    with pytest.raises(SystemExit, match="holds no run that can be read"):
        eval.main([str(tmp_path)])


def test_weight_decay_is_for_matrices_of_what_is_trained():
    config = replace(SMALL, weight_decay=0.3, method="full")
    decayed, plain = make_state(config, tiny(), ALONE).optimizer.param_groups
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    low = make_state(replace(config, method="lora"), arm_of(replace(config, method="lora"), tiny()), ALONE)
    assert len(low.optimizer.param_groups) == 1 and len(low.optimizer.param_groups[0]["params"]) == 24


@pytest.mark.parametrize(
    ("arm", "message"), [("a r=0", "a rank from 1 on"), ("a dropout=1", "a dropout below 1"),
                         ("a method=full attention_dropout=1", "a: an attention dropout of 1 is none")]
)  # fmt: skip
def test_an_arm_that_cannot_be_is_refused_before_anything_is_trained(tmp_path, arm, message):
    with pytest.raises(SystemExit, match=message):
        run(tmp_path / "a", replace(SMALL, arms=("fine", arm)))
    assert not (tmp_path / "a/metrics.jsonl").exists()


def test_what_moved_is_the_adapters_alone():
    base, low = tiny(), arm_of(replace(SMALL, method="lora"), tiny())
    assert eval.spectrum(low, base) == {"change": 0.0}
    layer = layers(low)["blocks.1.ffn.down"]
    torch.nn.init.normal_(layer.lora_B)
    whole = sum(p.double().square().sum() for n, p in base.named_parameters() if n.startswith("blocks") and p.dim() > 1)
    expected = layer.change().norm() / whole.sqrt()
    assert eval.spectrum(low, base)["change"] == pytest.approx(float(expected), rel=1e-5)
    moved = tiny()
    with torch.no_grad():
        moved.blocks[1].ffn.down.weight += layer.change()
    found = eval.spectrum(moved, base)
    assert found["change"] == pytest.approx(float(expected), rel=1e-4) and found["rank_mlp"] <= 2


def test_fronts_hold_what_nothing_beats():
    points = [(1.0, 5.0), (2.0, 4.0), (2.0, 3.0), (3.0, 3.5), (4.0, 1.0)]
    assert figures.front(points) == [(1.0, 5.0), (2.0, 3.0), (4.0, 1.0)]


# a checkpoint and text

PROGRAM = {
    "task_id": "x", "prompt": 'def f():\n    """One."""\n', "entry_point": "f", "canonical_solution": "    return 1\n",
    "test": "def check(f):\n assert f() == 1\n",
}  # fmt: skip


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CACHE", tmp_path / "cache")
    for split, documents in (("train", 60), ("val", 6)):
        (tmp_path / "text" / split).mkdir(parents=True)
        for i in range(documents):
            words = " ".join(f"{split} {i * j % 17} squares to {(i * j % 17) ** 2};" for j in range(12))
            (tmp_path / "text" / split / f"{i}.txt").write_text(words)
    base = tmp_path / "checkpoint"
    hub.save(tiny(vocab_size=257), base)
    (base / "tokenizer.json").write_text(tokenizers.of_bytes().raw.to_str())
    for name, row in (
        ("hellaswag_val", {"query": "1 squares to", "choices": ["1", "7"], "gold": 0}),
        ("arc_challenge", {"query": "2 squares to", "choices": ["4", "5"], "gold": 0}),
        ("winogrande", {"context_options": ["3 is", "4 is"], "continuation": "odd", "gold": 0}),
    ):
        lines = bytes(3 * (json.dumps(row) + "\n"), "utf-8")
        (tmp_path / f"{name}.jsonl.bz2").write_bytes(bz2.compress(lines))
    (tmp_path / "humaneval.jsonl.bz2").write_bytes(bz2.compress(json.dumps(PROGRAM).encode()))
    return Config(
        domain="text", base=str(base), source=str(tmp_path / "text"), target="permuted", text_mb=0.2, seq_len=24,
        batch_size=4, base_steps=3, control_steps=3, steps=2, r=2, evals=str(tmp_path), eval_windows=4, samples=3,
        prompts=2, measure=("loss", "choices", "spectrum", "diversity"), log_every=1,
    )  # fmt: skip


def test_a_checkpoint_is_healed_and_taught(tmp_path, text, monkeypatch):
    monkeypatch.setattr(eval, "_SAMPLE", 6)
    healing = replace(text, arms=(), others=(str(tmp_path / "text/val"),))
    run(tmp_path / "base", healing)
    healed = str(tmp_path / "base/base")
    m = record(tmp_path / "base")["metrics"]
    assert {"control_before_nats", "control_after_nats", "at_plateau", "base_target_nats", "base_source_bits_per_byte",
            "base_source_accuracy", "base_samples_unique", "base_val_bits_per_byte"} <= set(m)  # fmt: skip
    control = model.control_of(Path(healed))
    named = control.source.replace("; tokenizer.json", "; SmolLM2")  # as the checkpoint that the base came from is
    assert named != control.source
    # as if it were at a plateau
    model.keep_control(Path(healed), replace(control, after_nats=control.before_nats, source=named))
    other = tmp_path / "other.txt"
    other.write_text("<|endoftext|>".join(f"{n}: nothing of what the control has read\n" * 9 for n in range(60)))
    with pytest.raises(SystemExit, match="the control of .* read text, .*, and the source here is other.txt, "):
        run(tmp_path / "c", replace(text, base=healed, base_steps=0, control_steps=0, source=str(other)))
    for precision in ("fp32", "bf16"):
        arm = replace(text, base=healed, base_steps=0, control_steps=0, precision=precision)
        run(tmp_path / precision, arm)
        found = record(tmp_path / precision)
        m = found["metrics"]
        assert "tokens permuted" in found["data"] and found["segments"][0]["to_step"] == 2
        assert {"target_nats", "target_bits_per_byte", "forgot_nats", "forgot_bits_per_byte", "source_accuracy",
                "hellaswag", "change", "samples_distinct_2", "samples_unique", "at_plateau"} <= set(m)  # fmt: skip
        assert m["forgot_bits_per_byte"] == pytest.approx(m["forgot_nats"] / math.log(2), rel=0.05)
        assert m["target_bits_per_byte"] == pytest.approx(m["target_nats"] / math.log(2), rel=0.05)
        assert 0 <= m["source_accuracy"] <= 1


def test_a_checkpoint_can_be_trusted_and_its_text_left_on_the_host(tmp_path, text, monkeypatch):
    """As the paper's own recipes do; a base in bf16, LionW, many micro-batches."""
    monkeypatch.setattr(eval, "_SAMPLE", 6)
    own = RECIPES["paper-code-ift-ep4-r16"].config
    config = replace(
        own, base=text.base, source=text.source, target="python", text_mb=0.2, evals=text.evals, seq_len=24,
        batch_size=4, accum=4, steps=2, r=2, compile=False, eval_windows=4, samples=3, prompts=2,
        measure=("loss", "choices", "diversity"), lr=1e-3,
    )  # fmt: skip
    assert config.trusted and config.text_on_host and config.frozen == "bf16" and config.dropout
    state = run(tmp_path / "a", config)
    m = record(tmp_path / "a")["metrics"]
    assert m["plateau_on_trust"] == 1 and "at_plateau" not in m
    assert {"base_source_accuracy", "base_hellaswag", "base_samples_unique", "forgot_nats", "source_accuracy"} <= set(m)
    kinds = {str(p.dtype) for p in state.model.parameters() if not p.requires_grad and p.dim() > 1}
    assert kinds == {"torch.bfloat16"}
    assert load_run(tmp_path / "a")[1].embed.weight.dtype == torch.bfloat16


def test_answers_and_programs_are_scored(tmp_path, text, monkeypatch):
    if refusal():
        pytest.skip(refusal())
    for name, value in (("_ANSWER", 4), ("_PROGRAM", 4)):
        monkeypatch.setattr(eval, name, value)
    sum_ = {"question": "1?", "answer": "#### 1"}
    for name, row in (("gsm8k_train", sum_), ("gsm8k_test", sum_)):
        (tmp_path / f"{name}.jsonl.bz2").write_bytes(bz2.compress(json.dumps(row).encode()))
    domains, decoder = load(text, torch.device("cpu")), tiny(vocab_size=257, max_seq_len=128)
    found = eval.measure(replace(text, measure=("gsm8k", "code"), samples=10), decoder, decoder, domains)
    assert set(found) == {
        "gsm8k_exact_match", "gsm8k_exact_match_se", "gsm8k_exact_match_flexible", "gsm8k_exact_match_flexible_se",
        "humaneval_pass_at_1", "humaneval_pass_at_1_se", "humaneval_pass_at_10", "humaneval_pass_at_10_se",
    }  # fmt: skip
    assert found["humaneval_pass_at_1"] == 0  # of a random decoder
    right = [["\n    return 1\n"] * 3]
    monkeypatch.setattr(eval, "complete", lambda *args, **more: right)
    assert eval.measure(replace(text, measure=("code",)), decoder, decoder, domains)["humaneval_pass_at_1"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base": "nowhere"}, "there is no base at 'nowhere'"),
        ({"control_steps": 0}, "without a control"),
        ({"arms": ("x rank=2",)}, "an arm has no field rank"),
        ({"source": "nowhere"}, "there is no text at 'nowhere'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path, text, changes, message):
    with pytest.raises(SystemExit, match=message) as caught:
        run(tmp_path / "x", replace(text, **changes))
    assert "\n" not in str(caught.value) and not (tmp_path / "x").exists()


# what a step costs


def test_what_a_step_costs_is_measured(tmp_path, monkeypatch):
    pytest.importorskip("peft")
    pytest.importorskip("transformers")
    from repro.lab.transformer import Shape
    from repro.lora_forgetting import cost

    monkeypatch.setattr(cost, "SHAPE_125M", Shape(64, 32, 1, 4, 2, 48, 16))
    monkeypatch.setattr(cost.Size, "__init__", _small(cost.Size, cost.SHAPE_125M))
    monkeypatch.setattr(cost, "timed", lambda call, seconds: (call(), (1.0, 2.0))[1])
    run(tmp_path / "cost", RECIPES["gpu-cost"].config)
    m = record(tmp_path / "cost")["metrics"]
    known = ("peer_full", "peer_lora", "peer_full_small", "peer_lora_small", "ours_full", "ours_lora")
    assert set(m) == {f"{what}_{case}" for what in ("ms", "peak_gib") for case in known}


def _small(kind, shape):
    def make(self, of=shape, batch=2, seq_len=8):
        for name, value in (("shape", of), ("batch", batch), ("seq_len", seq_len)):
            object.__setattr__(self, name, value)

    return make
