"""LightningModules: one per restoration task, one level below the common one."""

from src.core.registry import Registry
from src.training.tasks.base import RestorationTask

TASKS: Registry[RestorationTask] = Registry("task", "src.training.tasks")
