"""What this machine trains with: its GPUs by their exact names, their memory, and what they can compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GB = 1e9
_CPU_FLOPS = 0.3e12  # SmolLM2-135M trains at 370 tokens/s on two cores with bf16 units (measured)
_USED = 0.4  # of a GPU's peak

PEAKS: Mapping[str, float] = {
    **dict.fromkeys(("H100 80GB HBM3", "H100 SXM5 80GB", "H800", "H200", "GH200 480GB", "GH200 120GB"), 989e12),
    **dict.fromkeys(("H100 NVL", "H200 NVL"), 835e12),
    **dict.fromkeys(("H100 PCIe", "H800 PCIe"), 756e12),
    "B200": 2250e12,
    **dict.fromkeys(("A100-SXM4-40GB", "A100-SXM4-80GB", "A100-SXM-80GB", "A100-SXM-64GB"), 312e12),
    **dict.fromkeys(("A100-PCIE-40GB", "A100-PCIE-80GB", "A100 80GB PCIe", "A100-PG509-200"), 312e12),
    **dict.fromkeys(("A800-SXM4-40GB", "A800-SXM4-80GB", "A800 80GB PCIe"), 312e12),
    "A40": 150e12,
    "A30": 165e12,
    "A10": 125e12,
    "A10G": 70e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    **dict.fromkeys(("V100-SXM2-16GB", "V100-SXM2-32GB", "V100-SXM3-32GB"), 125e12),
    **dict.fromkeys(("V100-PCIE-16GB", "V100-PCIE-32GB"), 112e12),
    "T4": 65e12,
    "RTX 6000 Ada Generation": 364e12,
    "RTX A6000": 155e12,
    "RTX A5000": 111e12,
    "RTX A4000": 77e12,
    "GeForce RTX 5090": 209e12,
    "GeForce RTX 5080": 113e12,
    "GeForce RTX 4090": 165e12,
    "GeForce RTX 4080": 97e12,
    "GeForce RTX 3090 Ti": 80e12,
    "GeForce RTX 3090": 71e12,
    "GeForce RTX 3080": 60e12,
}
"""Dense 16-bit operations a second, by the driver's names, from the makers' data sheets."""


def known_peak(name: str) -> float | None:
    """The operations a second of a GPU of exactly this name; of a part of one, or of any other, nothing is known."""
    words = name.split()
    while words and words[0] in ("NVIDIA", "Tesla"):
        words = words[1:]
    return PEAKS.get(" ".join(words))


def peak() -> float | None:
    """The first GPU's 16-bit operations a second, if it is known."""
    import torch

    return known_peak(torch.cuda.get_device_properties(0).name) if torch.cuda.is_available() else None


@dataclass(frozen=True)
class Machine:
    """What there is.

    Attributes:
        name: The GPUs' name, or CPU.
        memory: Of the smallest GPU, or of the computer, in GB.
        flops: Operations a second that can be hoped for of one; not known for every GPU.
        gpus: How many there are.
        bf16: Whether bfloat16 is computed in hardware, or on the CPU at all.
    """

    name: str
    memory: float
    flops: float | None
    gpus: int = 0
    bf16: bool = True


def machine() -> Machine:
    """The GPUs of this computer, or this computer."""
    import psutil  # type: ignore[import-untyped]
    import torch

    if not torch.cuda.is_available():
        return Machine("CPU", psutil.virtual_memory().total / GB, _CPU_FLOPS)
    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    least = min(found, key=lambda gpu: gpu.total_memory)
    most = known_peak(least.name)
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return Machine(least.name, least.total_memory / GB, most and _USED * most, len(found), bf16)
