"""GPUs, drivers, processor and memory of one machine, as one of its processes sees them."""

import os
import resource
import shutil
import subprocess

import psutil
import torch

from src.app.processes.place import Place
from src.commands.doctor.finding import Finding, note, right, wrong
from src.core.types import PlainConfig

GIB = 2**30
_FILES = 1024  # open files: loaders share tensors through descriptors


def check_devices(config: PlainConfig, place: Place, local_rank: int) -> list[Finding]:
    """Look at the GPU of this process, or at the processor where none is wanted."""
    accelerator = config["trainer"]["accelerator"]
    wanted = accelerator in {"gpu", "cuda"}
    there = torch.cuda.device_count()
    if not wanted and (accelerator != "auto" or not there):
        idle = note("GPU", f"{there} unused", "trainer=gpu or trainer=ddp") if there else None
        return [*([idle] if idle else []), *_processor(place)]
    if there < place.local_world:
        return [wrong("GPU", f"CUDA sees {there}, {place.local_world} wanted", _why_none(there))]
    return [*_card(local_rank, float(config["gpu_free_gib"])), *_processor(place)]


def card_id(local_rank: int) -> str:
    """Return what tells the GPU of this process from every other; empty where there is none."""
    if local_rank >= torch.cuda.device_count():
        return ""
    return str(torch.cuda.get_device_properties(local_rank).uuid)


def _card(index: int, free_gib: float) -> list[Finding]:
    name = torch.cuda.get_device_name(index)
    try:
        free, total = torch.cuda.mem_get_info(index)
        ones = torch.ones(64, 64, device=f"cuda:{index}")
        exact = bool((ones @ ones == 64).all())
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        return [wrong("GPU", f"{name} cannot be used: {reason}", "nvidia-smi says more; reboot?")]
    room = f"{name}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, driver {_driver()}"
    if not exact:
        return [wrong("GPU", f"{room}: it miscalculates", "take it out of use")]
    if free < free_gib * GIB:
        return [wrong("GPU", room, "end what holds its memory (nvidia-smi), or gpu_free_gib=…")]
    return [right("GPU", room)]


def _why_none(there: int) -> str:
    if there:
        return f"trainer.devices={there}, or ask for more GPUs; see CUDA_VISIBLE_DEVICES"
    if torch.version.cuda is None:
        return "this torch has no CUDA: make install TORCH=cu126; or trainer=cpu, trainer=ddp_cpu"
    if _driver() == "unknown":
        return "no driver (nvidia-smi) is there: ask for a machine with GPUs"
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return "CUDA_VISIBLE_DEVICES is empty: ask the scheduler for GPUs (--gpus-per-node)"
    return f"driver {_driver()} may be too old for CUDA {torch.version.cuda}: another TORCH=cu…"


def _driver() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "unknown"
    asked = subprocess.run(  # noqa: S603
        [program, "--query-gpu=driver_version", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    lines = asked.stdout.split()
    return lines[0] if asked.returncode == 0 and lines else "unknown"


def _processor(place: Place) -> list[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads() * place.local_world
    memory = psutil.virtual_memory()
    found = f"{cores} cores, {memory.available / GIB:.0f} of {memory.total / GIB:.0f} GiB free"
    findings = [right("processor", found)]
    if threads > (cores or 1):
        text = f"{place.local_world} processes of {torch.get_num_threads()} threads on {cores}"
        advice = "ask for more (--cpus-per-task), or fewer threads (OMP_NUM_THREADS)"
        findings = [note("processor", f"{found}; {text}", advice)]
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < _FILES:
        findings.append(wrong("open files", f"limit {files}", f"ulimit -n {_FILES} or more"))
    return findings
