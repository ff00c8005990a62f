"""The command line of every entry point: check what was typed, then let Hydra run it."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from src.app.config.check import Request, check
from src.app.config.frozen import open_sweep
from src.app.config.group_names import with_slash
from src.app.config.resolvers import register_resolvers
from src.app.config.resume import with_saved
from src.app.config.search_path import check_folders, with_config_dir, with_that_of_checkpoint
from src.app.processes.follow import follow, leading
from src.app.processes.output import refuse_lost_results
from src.app.processes.place import PATIENCE, TORCHRUN, here
from src.app.processes.process import end_with_parent, prepare_process
from src.app.processes.shortage import shortages_said
from src.app.sweeps.requeue import told_again
from src.app.sweeps.side_by_side import signals_shared
from src.app.sweeps.sweep import concluded
from src.commands.cli.job import UnexpectedError, task_of
from src.core.console import accept_all_names
from src.core.errors import ConfigError, ExemplarError
from src.core.paths import CONF_DIR
from src.core.preemption import Preemption, preemptible

EXIT_CONFIG, EXIT_ERROR, EXIT_INTERRUPT = 2, 1, 130


def launch(config_name: str, target: str) -> None:
    """Run one entry point on ``sys.argv``.

    Args:
        config_name: Primary config of conf/, e.g. ``train``.
        target: Dotted name of ``f(cfg)``, imported only when the command line has been accepted, so
            that help, ``--cfg`` and a typo answer without torch. Its return value goes to Hydra's
            sweeper.

    Exits with 2 for a configuration that cannot work, 1 for any other failure, 130 when
    interrupted, 75, 129 or 143 when the machine is wanted back. Only an unexpected error shows
    a traceback.
    """
    prepare_process()
    accept_all_names()
    try:
        with preemptible():
            _lead_or_follow(config_name, target)
    except ConfigError as error:
        _stop(str(error), EXIT_CONFIG, _advice(config_name))
    except (ExemplarError, UnexpectedError) as error:
        _stop(str(error), EXIT_ERROR)
    except (HydraException, OmegaConfBaseException) as error:
        _stop(str(error).splitlines()[0], EXIT_CONFIG, _advice(config_name))
    except KeyboardInterrupt:
        _stop("Interrupted.", EXIT_INTERRUPT)
    except Preemption as stop:
        print(stop, file=sys.stderr)  # noqa: T201
        sys.exit(stop.exit_status)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning exits with 1 after Ctrl-C
            how = " at once; resume=<run folder> goes on" if config_name == "train" else ""
            _stop(f"Interrupted{how}.", EXIT_INTERRUPT)
        raise


def _lead_or_follow(config_name: str, target: str) -> None:
    """Do what was typed; of several processes that were started with it, only the first does."""
    place = here()
    if place.starter == TORCHRUN:
        end_with_parent()
    if not place.leads:
        sys.exit(follow(place, timedelta(minutes=1) if config_name == "doctor" else PATIENCE))
    args = get_args_parser().parse_intermixed_args()
    with leading(place, multirun=_is_sweep(args)):
        _arrange(args, config_name)
        _run(args, config_name, target)


def _arrange(args: argparse.Namespace, config_name: str) -> None:
    """Put flags before overrides, as Hydra wants them, and a resumed run's own before those."""
    flags = _without_config_dir([word for word in sys.argv[1:] if word not in args.overrides])
    words = [with_slash(word) for word in args.overrides]
    words = with_config_dir(words, args.config_dir)
    words = with_saved(words) if config_name == "train" else with_that_of_checkpoint(words)
    check_folders(words)
    args.overrides, args.config_dir = words, None
    sys.argv[1:] = flags + words


def _without_config_dir(flags: list[str]) -> list[str]:
    """Return ``flags`` without ``--config-dir`` and its folder, which is in the search path now."""
    left, value_follows = [], False
    for word in flags:
        if word in {"--config-dir", "-cd"}:
            value_follows = True
        elif not value_follows and not word.startswith("--config-dir="):
            left.append(word)
        else:
            value_follows = False
    return left


def _run(args: argparse.Namespace, config_name: str, target: str) -> None:
    looks = args.cfg is not None or args.info is not None
    passive = looks or args.help or args.hydra_help or args.shell_completion
    register_resolvers(claim=not passive)
    request = _request(args, config_name)
    if looks or not passive:
        accepted = check(request, complete=not passive)
        if request.multirun and config_name == "train":
            from src.commands.cli.scored import refuse_unscored  # noqa: PLC0415  imports torch

            for config in filter(None, accepted):
                refuse_unscored(config)

    sweeps = request.multirun and not passive
    sweep, launcher = _begin_sweep(request) if sweeps else (None, "")
    failed: list[Exception] = []
    with signals_shared(launcher), concluded(sweep), shortages_said(), _errors_come_to_us():
        hydra.main(str(CONF_DIR), config_name, version_base="1.3")(task_of(target, failed))()
    if failed:
        raise failed[0]
    if passive or config_name != "train":  # a training's results are files
        refuse_lost_results()


def _is_sweep(args: argparse.Namespace) -> bool:
    return args.multirun or "hydra.mode=MULTIRUN" in args.overrides


def _begin_sweep(request: Request) -> tuple[Path, str]:
    """Decide where a sweep writes, and let all its jobs read the files as they are now.

    Returns:
        Its folder, and the dotted name of the launcher that starts its jobs.
    """
    sweep = open_sweep(request, started_again=told_again())
    if sweep.changed:
        print(  # noqa: T201
            "The sweep goes on with its configuration files as they were when it began; changed "
            "since, and not read:\n  " + "\n  ".join(sweep.changed),
            file=sys.stderr,
        )
        check(sweep.request)
    flags = [word for word in sys.argv[1:] if word not in request.overrides]
    frozen = f"--config-path={sweep.request.config_dir}"
    sys.argv[1:] = [*flags, frozen, *sweep.request.overrides, f'hydra.sweep.dir="{sweep.folder}"']
    return sweep.folder, sweep.launcher


def _request(args: argparse.Namespace, config_name: str) -> Request:
    return Request(
        args.config_name or config_name,
        tuple(args.overrides),
        multirun=_is_sweep(args),
        config_dir=str(Path(args.config_path or CONF_DIR).resolve()),
    )


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
