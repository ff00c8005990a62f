"""LightningModules: one per restoration task, one level below the common one."""

from src.core.registry import Registry
from src.tasks.base import RestorationTask

TASKS: Registry[RestorationTask] = Registry("task", "src.tasks")
