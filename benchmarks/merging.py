"""Merging beside mergekit, as JSON: whole processes, the kernel alone, what they differ by, memory; and 8B shapes.

    python benchmarks/merging.py                 two 135M models: wall time, kernel, ulp, memory, norm-geometric error
    python benchmarks/merging.py --kernel        the kernel alone, some seconds
    python benchmarks/merging.py --shape 8b      random weights in the shape of Llama-3.1-8B, 48 GB of disk meanwhile

The models are the fetched SmolLM2-135M-Instruct and a copy of it with noise on every weight.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from home import ROOT, environment, fetched_models, fresh_home

MODEL = "smollm2-135m-instruct"
WALL, KERNEL, ULPS, ERROR = 0.65, 2.0, 1, 1e-6
BLOCK = 1 << 21
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
    "vocab_size": 128256, "max_position_embeddings": 131072, "rope_theta": 500000.0, "rms_norm_eps": 1e-05,
    "hidden_act": "silu", "tie_word_embeddings": False, "dtype": "bfloat16",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--kernel", action="store_true", help="only the kernel")
    parser.add_argument("--shape", choices=["135m", "8b"], default="135m")
    parser.add_argument("--out", type=Path, help="folder to work in, on the disk that is measured")
    parser.add_argument("--child", nargs=3, metavar=("YAML", "HOME", "NAME"), help=argparse.SUPPRESS)
    parser.add_argument("--shaped", nargs=2, metavar=("FOLDER", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.shaped:
        shaped(Path(options.shaped[0]), int(options.shaped[1]))
        return
    if options.child:
        print(json.dumps(child(*options.child)))
        return
    found: dict[str, Any] = {"benchmark": "merging", "shape": options.shape}
    if options.shape == "8b":
        with work(options.out) as folder:
            found |= eight_billion(folder)
    else:
        found["kernel"] = kernel(max(options.repeats, 7))
        if not options.kernel:
            with work(options.out) as folder:
                found |= whole_processes(folder, options.repeats)
    print(json.dumps(found, indent=1))


@contextmanager
def work(out: Path | None) -> Iterator[Path]:
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="merging-", dir=out) as name:
        yield Path(name)


def kernel(repeats: int) -> dict[str, Any]:
    """Mergekit's SLERP kernel and Studio's on one layer's largest matrices, in turn."""
    import torch
    from mergekit.merge_methods.slerp import slerp

    from training.merging.kernels import Bench, norm_slerp_shares, slerp_shares

    bench, noise = Bench(2), torch.Generator().manual_seed(0)
    found: dict[str, Any] = {"threads": torch.get_num_threads()}
    with torch.inference_mode():
        for name, sides, t in (("135m", (1536, 576), 0.3), ("8b", (14336, 4096), 0.3)):
            one = torch.randn(sides, generator=noise).to(torch.bfloat16).reshape(-1)
            other = (one.float() + 0.3 * torch.randn(one.shape, generator=noise)).to(torch.bfloat16)
            out = torch.empty_like(one)
            share = torch.tensor([t])

            def mine(a: Any = one, b: Any = other, made: Any = out, t: float = t) -> None:
                bench.combine([a, b], slerp_shares(bench.sums(a, b)[0], t), made)

            def theirs(a: Any = one, b: Any = other, t: Any = share) -> Any:
                return slerp(t, a[None], b[None])[0]

            took = interleaved({"mine": mine, "theirs": theirs}, repeats)
            mine()
            found[name] = {
                "mergekit_ms": round(took["theirs"] * 1e3, 2),
                "studio_ms": round(took["mine"] * 1e3, 2),
                "ratio": round(took["theirs"] / took["mine"], 2),
                "ulps": ulps(out, theirs(), one, other),
            }
        found["norm_slerp_error"] = norm_error(Bench(4), norm_slerp_shares)
    found["passed"] = (
        all(found[one]["ratio"] >= KERNEL for one in ("135m", "8b")) and found["norm_slerp_error"] <= ERROR
    )
    return found


def interleaved(given: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The median seconds of each, taken in turn after one run that does not count."""
    took: dict[str, list[float]] = {name: [] for name in given}
    for turn in range(repeats + 1):
        for name, call in given.items():
            begun = time.perf_counter()
            call()
            if turn:
                took[name].append(time.perf_counter() - begun)
    return {name: statistics.median(times) for name, times in took.items()}


def ulps(made: Any, wanted: Any, one: Any, other: Any) -> int:
    """The most that two bfloat16 tensors differ by, in steps of the larger of result and parents at each place.

    Where parents cancel, what is left is rounding of single precision; it is held against what cancelled.
    """
    import torch

    scale = torch.stack([made, wanted, one, other]).float().abs().amax(0)
    step = torch.exp2(torch.floor(torch.log2(scale.clamp(min=1e-30))) - 7)
    return int(torch.round((made.float() - wanted.float()).abs() / step).max())


def norm_error(bench: Any, shares: Any) -> float:
    """The norm-geometric SLERP before rounding beside the formula in double precision, relative to the length."""
    import torch

    worst, noise = 0.0, torch.Generator().manual_seed(1)
    for apart in (1e-3, 1e-2, 0.1, 1.0, 10.0):
        for t in (0.1, 0.5, 0.9):
            one = torch.randn(1_000_003, generator=noise)
            other = one + apart * torch.randn(one.shape, generator=noise)
            out = torch.empty_like(one)
            bench.combine([one, other], shares(bench.sums(one, other)[0], t), out)
            a, b = one.double(), other.double()
            u, v = a / a.norm(), b / b.norm()
            angle = 2 * math.atan2(float((u - v).norm()), float((u + v).norm()))  # exact where the cosine is not
            arc = (math.sin((1 - t) * angle) * u + math.sin(t * angle) * v) / math.sin(angle)
            wanted = arc * a.norm() ** (1 - t) * b.norm() ** t
            worst = max(worst, float((out.double() - wanted).norm() / wanted.norm()))
    return worst


def whole_processes(folder: Path, repeats: int) -> dict[str, Any]:
    """`mergekit-yaml` and Studio on the same YAML, in turn."""
    base = fetched_models() / MODEL
    tuned = noisy(base, folder / "tuned")
    document = {
        "merge_method": "slerp", "base_model": str(base), "models": [{"model": str(base)}, {"model": str(tuned)}],
        "parameters": {"t": [
            {"filter": "self_attn", "value": [0, 0.5, 0.3, 0.7, 1]}, {"filter": "mlp", "value": [1, 0.5, 0.7, 0.3, 0]},
            {"value": 0.5},
        ]}, "dtype": "bfloat16",
    }  # fmt: skip
    recipe = folder / "merge.yaml"
    recipe.write_text(yaml.safe_dump(document))
    took: dict[str, list[float]] = {"studio": [], "mergekit": []}
    said: dict[str, Any] = {}
    for turn in range(repeats + 1):
        with fresh_home() as home:
            command = [sys.executable, __file__, "--child", str(recipe), str(home), "merged"]
            begun = time.perf_counter()
            done = subprocess.run(command, cwd=ROOT, env=environment(home), check=True, capture_output=True, text=True)
            mine = time.perf_counter() - begun
            said = json.loads(done.stdout.splitlines()[-1])
            theirs = folder / f"theirs-{turn}"
            begun = time.perf_counter()
            subprocess.run(
                [str(Path(sys.executable).parent / "mergekit-yaml"), str(recipe), str(theirs)],
                env=environment(home), check=True, capture_output=True,
            )  # fmt: skip
            other = time.perf_counter() - begun
            if turn:
                took["studio"].append(mine)
                took["mergekit"].append(other)
            said["ulps"] = files_differ(home / "variants" / "merged", theirs, base, tuned)
            shutil.rmtree(theirs)
    studio, mergekit = (statistics.median(took[name]) for name in ("studio", "mergekit"))
    limit = said["model_mb"] + said["two_tensors_mb"]
    return {
        "studio_seconds": round(studio, 2),
        "mergekit_seconds": round(mergekit, 2),
        "wall": round(studio / mergekit, 3),
        "wall_limit": WALL,
        "all_seconds": {name: [round(one, 2) for one in times] for name, times in took.items()},
        **said,
        "limit_mb": round(limit),
        "passed": studio / mergekit <= WALL and said["ulps"] <= ULPS and said["above_base_mb"] <= limit,
    }


def child(recipe: str, home: str, name: str) -> dict[str, Any]:
    """One merge, and the memory that it took above what its libraries take."""
    import torch  # noqa: F401

    from training.loop.heap import forget_peak, peak
    from training.merging.config import MergeConfig
    from training.merging.reading import tensors_of
    from training.merging.run import merge

    forget_peak()
    before = peak()
    record = merge(MergeConfig(name=name, yaml=recipe), Path(home))
    held = tensors_of(Path(home, "variants", name)).values()
    return {
        "above_base_mb": round(peak() - before),
        "model_mb": round(sum(one.numel * 2 for one in held) / 2**20),
        "two_tensors_mb": round(2 * max(one.numel * 2 for one in held) / 2**20),
        "merge_seconds": round(record.seconds, 2),
        "linear": f"{record.linear} of {record.tensors}",
    }


def noisy(base: Path, folder: Path, noise: float = 0.05) -> Path:
    """A copy of a model with noise on every weight."""
    import torch
    from safetensors.torch import load_file, save_file

    from workspace.files import publish

    def lay(staged: Path) -> None:
        shutil.copytree(base, staged, ignore=shutil.ignore_patterns("manifest.json", "*.safetensors"))
        for number, file in enumerate(sorted(base.glob("*.safetensors"))):
            drawn = torch.Generator().manual_seed(number)
            changed = {
                name: (one.float() + noise * one.float().std() * torch.randn(one.shape, generator=drawn)).to(one.dtype)
                for name, one in load_file(file).items()
            }
            save_file(changed, staged / file.name, metadata={"format": "pt"})

    publish(folder, lay)
    return folder


def files_differ(mine: Path, theirs: Path, base: Path, tuned: Path) -> int:
    """The most that two merges of the same parents differ by, in steps of bfloat16."""
    from safetensors.torch import load_file

    read: list[dict[str, Any]] = []
    for folder in (mine, theirs, base, tuned):
        read.append({})
        for file in sorted(folder.glob("*.safetensors")):
            read[-1] |= load_file(file)
    made, wanted, one, other = read
    assert made.keys() == wanted.keys(), "other tensors"
    return max(ulps(made[name], wanted[name], one[name], other[name]) for name in made)


def eight_billion(folder: Path) -> dict[str, Any]:
    """Two sharded models in the shape of Llama-3.1-8B: measured, merged, published; and the disk alone beside it."""
    from training.loop.heap import forget_peak, peak
    from training.merging.config import MergeConfig
    from training.merging.engine import write
    from training.merging.plan import prepare

    parents = [folder / "first", folder / "second"]
    for seed, parent in enumerate(parents):  # in processes of their own, whose memory does not count
        command = [sys.executable, __file__, "--shaped", str(parent), str(seed)]
        subprocess.run(command, cwd=ROOT, check=True)
    config = MergeConfig(name="merged", models=tuple(map(str, parents)))
    home = folder / "home"
    home.mkdir()
    import torch  # noqa: F401

    forget_peak()
    before = peak()
    begun = time.perf_counter()
    made = prepare(config, home)
    measured = time.perf_counter() - begun
    assert made.job is not None
    forget(*parents)
    begun = time.perf_counter()
    write(made.job, folder / "merged")
    sync(folder / "merged")
    merged = time.perf_counter() - begun
    above = peak() - before
    shutil.rmtree(folder / "merged")
    forget(*parents)
    bare = bare_copy(parents, folder / "copied")
    size = made.plan.bytes
    return {
        "gb_a_model": round(size / 1e9, 2),
        "fingerprints_and_cosines_seconds": round(measured, 1),
        "merge_seconds": round(merged, 1),
        "merge_gb_s": round(3 * size / 1e9 / merged, 2),
        "disk_alone_seconds": round(bare, 1),
        "disk_gb_s": round(3 * size / 1e9 / bare, 2),
        "above_base_mb": round(above),
        "peak_mb": round(peak()),
    }


def shaped(folder: Path, seed: int) -> None:
    """A model of random weights in shards, its tensors cut from one pool of normal numbers."""
    import torch

    from training.merging.writing import Slot, shards, writer

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    for file in (fetched_models() / MODEL).glob("tokenizer*"):
        shutil.copyfile(file, folder / file.name)
    wide, inner, narrow = LLAMA["hidden_size"], LLAMA["intermediate_size"], 1024
    layer = {
        "input_layernorm": (wide,), "post_attention_layernorm": (wide,), "self_attn.q_proj": (wide, wide),
        "self_attn.k_proj": (narrow, wide), "self_attn.v_proj": (narrow, wide), "self_attn.o_proj": (wide, wide),
        "mlp.gate_proj": (inner, wide), "mlp.up_proj": (inner, wide), "mlp.down_proj": (wide, inner),
    }  # fmt: skip
    sides: dict[str, tuple[Any, ...]] = {"model.embed_tokens.weight": (LLAMA["vocab_size"], wide)}
    for number in range(int(str(LLAMA["num_hidden_layers"]))):
        sides |= {f"model.layers.{number}.{name}.weight": shape for name, shape in layer.items()}
    sides |= {"model.norm.weight": (wide,), "lm_head.weight": (LLAMA["vocab_size"], wide)}
    drawn = torch.Generator().manual_seed(7)
    pool = 0.02 * torch.randn(BLOCK * 8, generator=drawn)
    pool += seed * 0.004 * torch.randn(pool.shape, generator=drawn)
    ready = pool.to(torch.bfloat16)
    slots = [Slot(name, "BF16", shape, 2 * math.prod(shape)) for name, shape in sides.items()]
    with writer(folder, shards(slots)) as out:
        for slot in out.tensors():
            for start in range(0, slot.size // 2, BLOCK * 8):
                out.add(ready[: min(BLOCK * 8, slot.size // 2 - start)])


def forget(*folders: Path) -> None:
    """Let the system drop what it keeps of files, so that they come from the disk."""
    for folder in folders:
        for file in folder.glob("*.safetensors"):
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sync(folder: Path) -> None:
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def bare_copy(parents: list[Path], folder: Path) -> float:
    """Seconds to read both parents and to write one of them, piece by piece, without any arithmetic."""
    folder.mkdir()
    begun = time.perf_counter()
    for file in sorted(parents[0].glob("*.safetensors")):
        with (
            file.open("rb") as one,
            (parents[1] / file.name).open("rb") as other,
            (folder / file.name).open("wb") as to,
        ):
            while piece := one.read(BLOCK):
                other.read(BLOCK)
                to.write(piece)
    sync(folder)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
