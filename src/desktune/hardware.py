"""What this machine can do, as values and as sentences; where a model runs, in what precision, and why.

Free of torch at import. ``machine(probe_torch=True)`` and ``pick_device`` ask torch for its devices.
``prepare_environment`` must run before torch is imported; only the command line calls it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from desktune.errors import ConfigError, FailedElsewhere

Device = Literal["cpu", "mps", "cuda"]
Dtype = Literal["float32", "bfloat16", "float16"]

NO_MEMORY_ON_CPU = "DefaultCPUAllocator"  # in a plain RuntimeError of torch, which has a class for other devices only
_GIB = 2**30
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # containers
_ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",  # its threads and a fork lock each other up
    "PYTORCH_ENABLE_MPS_FALLBACK": "1",  # operations that Apple's GPU lacks run on the CPU
    "DISABLE_SAFETENSORS_CONVERSION": "1",  # transformers would ask a server to convert old weights
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",  # we say what matters through events
}


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as desktune sees it. ``cuda`` holds (name, bytes) per GPU; empty when torch was not asked."""

    os: str
    cpu: str
    cores: int
    memory_bytes: int
    free_disk_bytes: int
    cuda: tuple[tuple[str, int], ...] = ()
    mps: bool = False
    bf16: bool = False  # on CUDA, natively


def prepare_environment() -> None:
    """Set what libraries read from the environment; a person's own values stay."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def world_size() -> int:
    """Return how many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE") or "1")


def one_process() -> None:
    """Make sure that torchrun did not start several processes of a work that knows only one.

    Raises:
        ConfigError: it did; said by the first of them.
        FailedElsewhere: it did, and the first one says so.
    """
    if world_size() == 1:
        return
    refused = ConfigError(
        f"WORLD_SIZE={world_size()}: only desktune train works on several processes; start all else without torchrun"
    )
    raise refused if os.environ.get("RANK", "0") == "0" else FailedElsewhere(refused.exit_code)


def pick_device_map(wanted: str | None, processes: int, possible: bool) -> tuple[str | None, str]:
    """Return what ``model.device_map`` becomes, and why it is ignored where it is.

    Args:
        wanted: ``model.device_map``.
        processes: Those of the training.
        possible: Whether the family can be spread over devices (``Family.device_map``).
    """
    if wanted is None:
        return None, ""
    if processes > 1:
        return None, f"model.device_map {wanted} is ignored: each of the {processes} processes places the whole model"
    if not possible:
        return None, f"model.device_map {wanted} is ignored: transformers cannot spread this family over devices"
    return wanted, "as model.device_map says"


def machine(probe_torch: bool, folder: Path | None = None) -> Machine:
    """Look at this machine.

    Args:
        probe_torch: Whether torch is imported to see GPUs (takes a second); without it there are none.
        folder: Whose disk counts; the present folder when None.
    """
    cuda, mps, bf16 = _torch_devices() if probe_torch else ((), False, False)
    return Machine(
        os=f"{platform.system()} {platform.release()} ({platform.machine()})",
        cpu=_cpu_name(),
        cores=_cores(),
        memory_bytes=_memory_bytes() // int(os.environ.get("LOCAL_WORLD_SIZE") or "1"),
        free_disk_bytes=shutil.disk_usage(folder or Path.cwd()).free,
        cuda=cuda,
        mps=mps,
        bf16=bf16,
    )


def sentences(here: Machine) -> list[str]:
    """Return the machine in sentences, one per fact."""
    lines = [
        f"System: {here.os}, Python {platform.python_version()}.",
        f"Processor: {here.cpu}, {here.cores} core{'s' if here.cores != 1 else ''} for this process.",
        f"Memory: {here.memory_bytes / _GIB:.1f} GiB." if here.memory_bytes else "Memory: unknown.",
        f"Disk: {here.free_disk_bytes / _GIB:.1f} GiB free.",
    ]
    for name, size in here.cuda:
        short = "bfloat16 natively" if here.bf16 else "no bfloat16"
        lines.append(f"GPU: {name} with {size / _GIB:.1f} GiB, {short} (CUDA).")
    if here.mps:
        lines.append("GPU: Apple's, through MPS; it shares the memory above.")
    if not here.cuda and not here.mps:
        lines.append("GPU: none that torch can use; training runs on the processor.")
    return lines


def pick_device(wanted: str, here: Machine | None = None) -> tuple[Device, str]:
    """Return the device for ``model.device`` and the reason.

    Raises:
        ConfigError: the wanted device is not there; the text names what is.
    """
    here = here or machine(probe_torch=True)
    there: dict[Device, str] = {}
    if here.cuda:
        there["cuda"] = f"{here.cuda[0][0]}, {here.cuda[0][1] / _GIB:.0f} GiB"
    if here.mps:
        there["mps"] = "Apple's GPU"
    there["cpu"] = f"{here.cpu}, {here.cores} cores"
    if wanted == "auto":
        device = next(iter(there))
        return device, there[device] if len(there) > 1 else f"no GPU that torch can use; {there[device]}"
    for device, what in there.items():
        if device == wanted:
            return device, f"as model.device says; {what}"
    raise ConfigError(
        f"model.device: {wanted}: this machine has none that torch can use; available: {', '.join(there)}, or auto"
    )


def pick_dtype(wanted: str, device: str, fp16_allowed: bool = True, here: Machine | None = None) -> tuple[Dtype, str]:
    """Return the precision of the forward pass for ``model.dtype`` on a device, and the reason.

    Args:
        wanted: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        device: What ``pick_device`` returned.
        fp16_allowed: Whether the family stays finite in half precision (``Family.fp16``).
        here: The machine; looked at when None.

    Raises:
        ConfigError: float16 for a family that overflows it, or on a CPU, where it has no effect; bfloat16 on a GPU
            without it.
    """
    here = here or machine(probe_torch=True)
    match wanted:
        case "auto":
            return _auto_dtype(device, here)
        case "float16" if not fp16_allowed:
            raise ConfigError(
                "model.dtype: float16: this family's activations overflow it (T5); write auto, bfloat16 or float32"
            )
        case "float16" if device == "cpu":
            raise ConfigError("model.dtype: float16: has no effect on a CPU; write auto, float32 or bfloat16")
        case "bfloat16" if device == "cuda" and not here.bf16:
            raise ConfigError("model.dtype: bfloat16: this GPU does not have it; write auto, float32 or float16")
        case "float16":
            return "float16", "as model.dtype says; the loss is scaled so that small gradients survive"
        case "bfloat16":
            slow = "; on a CPU without AVX512-BF16 or AMX it is slower than float32" if device == "cpu" else ""
            return "bfloat16", f"as model.dtype says{slow}"
        case "float32":
            return "float32", "as model.dtype says"
    raise ConfigError(f"model.dtype: found {wanted!r}; allowed: auto, float32, bfloat16 or float16")


def _auto_dtype(device: str, here: Machine) -> tuple[Dtype, str]:
    if device == "cuda" and here.bf16:
        return "bfloat16", "this GPU has it natively: half the memory, the range of float32"
    if device == "cuda":
        return "float32", "this GPU has no bfloat16; float16 only on request, since it can overflow"
    return "float32", "exact and safe on Apple's GPU" if device == "mps" else "the fast and exact precision of a CPU"


def _torch_devices() -> tuple[tuple[tuple[str, int], ...], bool, bool]:
    """Return the GPUs that torch sees, whether MPS works, and whether all CUDA GPUs have bfloat16."""
    if importlib.util.find_spec("torch") is None:
        return (), False, False
    import torch

    mps = torch.backends.mps.is_available()
    if not torch.cuda.is_available():
        return (), mps, False
    properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    gpus = tuple((one.name, one.total_memory) for one in properties)
    return gpus, mps, torch.cuda.is_bf16_supported(including_emulation=False)


def _cores() -> int:
    """Return the cores that this process may use, which in a container are fewer than the machine's."""
    if platform.system() == "Linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown processor"


def _memory_bytes() -> int:
    """Return the memory that this process may use, or 0 when the system does not say."""
    if platform.system() == "Windows":
        return _windows_memory_bytes()
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0
    return min([total, *_container_limits()])


def _container_limits() -> list[int]:
    limits = []
    for name in _CGROUP_LIMITS:
        try:
            limits.append(int(Path(name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
    return limits


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = [
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        ("total", ctypes.c_ulonglong),
        ("rest", ctypes.c_ulonglong * 6),
    ]


def _windows_memory_bytes() -> int:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    kernel32 = ctypes.CDLL("kernel32")
    return int(status.total) if kernel32.GlobalMemoryStatusEx(ctypes.byref(status)) else 0
