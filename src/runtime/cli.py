"""The command line of every entry point: check what was typed, then let Hydra run it."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from src.core.errors import ConfigError, ExemplarError
from src.core.paths import CONF_DIR, from_root
from src.runtime.preflight import Request, check
from src.runtime.process import prepare_process
from src.runtime.resolvers import register_resolvers
from src.runtime.resume import with_saved
from src.runtime.signatures import locate

EXIT_CONFIG, EXIT_ERROR, EXIT_INTERRUPT = 2, 1, 130


class UnexpectedError(Exception):
    """A fault of the program; its traceback has been printed and written to a file."""


def launch(config_name: str, target: str) -> None:
    """Run one entry point on ``sys.argv``.

    Args:
        config_name: Primary config of conf/, e.g. ``train``.
        target: Dotted name of ``f(cfg)``, imported only when the command line has been accepted, so
            that help, ``--cfg`` and a typo answer without torch. Its return value goes to Hydra's
            sweeper.

    Exits with 2 for a configuration that cannot work, 1 for any other failure, 130 when
    interrupted. Only an unexpected error shows a traceback.
    """
    prepare_process()
    args = get_args_parser().parse_intermixed_args()
    try:
        _arrange(args, config_name)
        _run(args, config_name, target)
    except ConfigError as error:
        _stop(str(error), EXIT_CONFIG, _advice(config_name))
    except ExemplarError as error:
        _stop(str(error), EXIT_ERROR)
    except UnexpectedError as error:
        _stop(str(error), EXIT_ERROR)
    except (HydraException, OmegaConfBaseException) as error:
        _stop(str(error).splitlines()[0], EXIT_CONFIG, _advice(config_name))
    except KeyboardInterrupt:
        _stop("Interrupted.", EXIT_INTERRUPT)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning exits with 1 after Ctrl-C
            raise SystemExit(EXIT_INTERRUPT) from None
        raise


def _arrange(args: argparse.Namespace, config_name: str) -> None:
    """Put flags before overrides, as Hydra wants them, and a resumed run's own before those."""
    flags = [word for word in sys.argv[1:] if word not in args.overrides]
    if config_name == "train":
        args.overrides = with_saved(args.overrides)
    sys.argv[1:] = flags + args.overrides


def _run(args: argparse.Namespace, config_name: str, target: str) -> None:
    looks = args.cfg is not None or args.info is not None
    passive = looks or args.help or args.hydra_help or args.shell_completion
    register_resolvers(claim=not passive)
    if looks or not passive:
        check(_request(args, config_name), complete=not passive)

    failed: list[Exception] = []

    def job(cfg: DictConfig) -> Any:  # noqa: ANN401
        try:
            return _run_job(locate(target), cfg)
        except (ExemplarError, UnexpectedError) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # the sweeper must know
            failed.append(error)  # past Hydra, which would print the command line first
            _drop_if_empty(Path(HydraConfig.get().runtime.output_dir))
            return None

    with _errors_come_to_us():
        hydra.main(str(CONF_DIR), config_name, version_base="1.3")(job)()
    if failed:
        raise failed[0]


def _request(args: argparse.Namespace, config_name: str) -> Request:
    overrides = list(args.overrides)
    if args.config_dir is not None and not any("hydra.searchpath" in text for text in overrides):
        overrides.append(f'hydra.searchpath=["file://{Path(args.config_dir).resolve()}"]')
    return Request(
        args.config_name or config_name,
        tuple(overrides),
        multirun=args.multirun or "hydra.mode=MULTIRUN" in overrides,
        config_dir=str(Path(args.config_path or CONF_DIR).resolve()),
    )


def _run_job(function: Callable[[DictConfig], Any], cfg: DictConfig) -> Any:  # noqa: ANN401
    """Run one job; in a sweep say which job failed, because others go on after it."""
    try:
        return function(cfg)
    except ExemplarError as error:
        _name_job(error)
        raise
    except Exception as error:
        known = _as_config_error(error)
        if known is not None:
            _name_job(known)
            raise known from error
        traceback.print_exc()
        raise UnexpectedError(_write_crash(cfg)) from error


def _drop_if_empty(folder: Path) -> None:
    """Remove a run folder in which nothing was written; a refused run leaves nothing behind."""
    held = list(folder.iterdir())
    if held and all(file.suffix == ".log" and file.stat().st_size == 0 for file in held):
        for file in held:
            file.unlink()
        folder.rmdir()


def _name_job(error: ExemplarError) -> None:
    settings = HydraConfig.get()
    if settings.mode == RunMode.MULTIRUN:
        what = settings.job.override_dirname
        print(f"job {settings.job.num} ({what}) failed: {error}", file=sys.stderr)  # noqa: T201


def _as_config_error(error: Exception) -> ConfigError | None:
    """Return the plain sentence behind an error that a value in the configuration has caused.

    A constructor refuses a value with ValueError; Hydra wraps that, and names the node.
    """
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        if isinstance(cause, ExemplarError):
            return ConfigError(str(cause))
        if isinstance(cause, ValueError) or _is_lightning_refusal(cause):
            key = str(error).rpartition("full_key: ")[2].strip()
            return ConfigError(f"{key}: {cause}" if key else str(cause))
    return ConfigError(str(error)) if _is_lightning_refusal(error) else None


def _is_lightning_refusal(error: BaseException | None) -> bool:
    # by name, because importing Lightning takes seconds and need not have happened
    return type(error).__name__ == "MisconfigurationException"


def _write_crash(cfg: DictConfig) -> str:
    settings = HydraConfig.get()
    folder = Path(settings.runtime.output_dir)
    if settings.run.dir == ".":  # a command without a run folder of its own
        folder = from_root(str(cfg.paths.output_root))
    file = folder / "crash.log"
    stamp = datetime.now().astimezone().isoformat(timespec="seconds")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(f"{stamp}  {' '.join(sys.argv)}\n{traceback.format_exc()}\n")
    except OSError as error:
        return f"That was unexpected: a fault of the program. ({file} cannot be written: {error})"
    return f"That was unexpected: a fault of the program. The traceback is also in {file}"


@contextmanager
def _errors_come_to_us() -> Iterator[None]:
    """Keep Hydra from printing errors and exiting, by the switch that it has for this."""
    held = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if held is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = held


def _advice(config_name: str) -> str:
    return (
        f"  To see every key and its value:  python -m src.{config_name} --cfg job\n"
        f"  To see groups and options:       python -m src.{config_name} --help"
    )


def _stop(message: str, code: int, advice: str = "") -> NoReturn:
    print("\n".join(filter(None, [f"error: {message}", advice])), file=sys.stderr)  # noqa: T201
    sys.exit(code)
