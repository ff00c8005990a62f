"""The command line of every entry point: check what was typed, then let Hydra run it."""

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from src.app.config.check import Request, composed
from src.app.config.options import key_of, register_resolvers
from src.app.config.resume import OF_A_RUN, with_last, with_saved, with_that_of_checkpoint
from src.app.config.typed import (
    ADDRESSES,
    KEY,
    as_meant,
    check_folders,
    remember_addresses,
    with_config_dir,
)
from src.app.processes.exchange import follow, leading
from src.app.processes.place import PATIENCE, TORCHRUN, Place, here
from src.app.processes.process import (
    begin_collecting,
    end_with_parent,
    prepare_process,
    refuse_lost_results,
)
from src.app.processes.user_errors import shortage_behind
from src.commands.cli.job import Command, UnexpectedError, run_alone
from src.core import __version__
from src.core.errors import ConfigError, ExemplarError
from src.core.paths import CONF_DIR
from src.core.preemption import Preemption, preemptible
from src.core.redact import readable, without_passwords

EXIT_CONFIG, EXIT_ERROR, EXIT_INTERRUPT = 2, 1, 130
_OF_HYDRA = (HydraException, OmegaConfBaseException)


def launch(config_name: str, function: Command | None = None) -> None:
    """Run one entry point on ``sys.argv``.

    Args:
        config_name: Primary config of conf/, e.g. ``train``.
        function: What is called with the configuration when the command line has been accepted;
            its return value goes to Hydra's sweeper. None: the command of that name.

    Exits with 2 for a configuration that cannot work, 1 for any other failure, 130 when
    interrupted, 75, 129 or 143 when the machine is wanted back. Only an unexpected error shows
    a traceback.
    """
    prepare_process()
    if function:  # there is no import of a command to wait for
        begin_collecting()
    function = function or partial(do_command, config_name)
    try:
        with preemptible():
            place = here()
            if place.starter is None:
                _run(config_name, function)
            else:
                _lead_or_follow(place, config_name, function)
    except (ExemplarError, UnexpectedError, *_OF_HYDRA, OSError, ValueError) as error:
        _stop(error, config_name)
    except KeyboardInterrupt:
        _interrupted()
    except Preemption as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.exit_status)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning exits with 1 after Ctrl-C
            goes_on = " at once; resume=<run folder> goes on, if a checkpoint was saved"
            how = goes_on if config_name == "train" else ""
            _interrupted(how)
        raise


def do_command(name: str, cfg: DictConfig) -> Any:  # noqa: ANN401
    """Do what ``src/commands/<name>/command.py`` does.

    It is imported only now, so that help, ``--cfg`` and a typo answer without torch.
    """
    command = getattr(importlib.import_module(f"src.commands.{name}.command"), name)
    begin_collecting()
    return command(cfg)


def _lead_or_follow(place: Place, config_name: str, function: Command) -> None:
    """Of several processes with the same words, let the first do what they say."""
    if place.starter == TORCHRUN:
        end_with_parent()
    if place.rank > 0:
        sys.exit(follow(place, timedelta(minutes=1) if config_name == "doctor" else PATIENCE))
    with leading(place):
        _run(config_name, function)


def _request(args: argparse.Namespace, config_name: str) -> Request:
    """Put flags before overrides, as Hydra wants them, and a resumed run's own before those."""
    flags = [word for word in sys.argv[1:] if word not in args.overrides]
    words = as_meant(args.overrides)
    if args.config_dir is not None or any(KEY in word for word in words):
        words, flags = with_config_dir(words, args.config_dir), _without_config_dir(flags)
    keys = {*map(key_of, words)}
    if any(key.endswith(ADDRESSES) for key in keys):
        split = (word.lstrip("+").partition("=") for word in words)
        remember_addresses((key, value.strip("'\"")) for key, _, value in split)
    if not keys.isdisjoint(OF_A_RUN):
        words = with_last(words)
        trains = config_name == "train"
        words = with_saved(words) if trains else with_that_of_checkpoint(words)
    if any(KEY in word for word in words):
        check_folders(words)
    sys.argv[1:] = flags + words
    folder = str(Path(args.config_path or CONF_DIR).resolve())
    return Request(args.config_name or config_name, tuple(words), args.multirun, folder)


def _without_config_dir(flags: list[str]) -> list[str]:
    """Return ``flags`` without ``--config-dir`` and its folder, which is in the search path now."""
    others, value_follows = [], False
    for word in flags:
        names = word in {"--config-dir", "-cd"}
        if not (names or value_follows or word.startswith("--config-dir=")):
            others.append(word)
        value_follows = names
    return others


def _run(config_name: str, function: Command) -> None:
    """Do what was typed."""
    if "--version" in sys.argv[1:]:  # Hydra would give its own
        print(f"exemplar {__version__}")
        return
    args = get_args_parser().parse_intermixed_args()
    args.multirun |= "hydra.mode=MULTIRUN" in args.overrides
    request = _request(args, config_name)
    looks = args.cfg is not None or args.info is not None
    passive = looks or args.help or args.hydra_help or args.shell_completion
    register_resolvers(claim=not passive)
    if not passive:
        sys.argv = [without_passwords(word) for word in sys.argv]  # records and loggers read it
    if args.help and not (args.hydra_help or args.shell_completion) and _help(request):
        pass
    elif passive:
        _look(request, looks=looks)
    elif request.multirun:
        from src.commands.cli.sweep import run_sweep  # only now: a single job needs none of it

        begin_collecting()  # each configuration that is composed leaves megabytes of cycles
        run_sweep(request, function)
    else:
        with composed(request) as accepted:
            run_alone(accepted.cfg, function)
    if passive or config_name != "train":  # a training's results are files
        refuse_lost_results()


def _help(request: Request) -> bool:
    """Print the help of conf/ unless it asks for more; return whether it was printed.

    Hydra would first list all groups, its own too, for a template that may ask for them as
    ``$APP_CONFIG_GROUPS``; that takes longer than all else.
    """
    name = request.config_name
    with initialize_config_dir(request.config_dir, version_base="1.3", job_name=name):
        cfg = compose(name, list(request.overrides), return_hydra_config=True)
    text = str(cfg.hydra.help.template)
    if "$" not in text:
        print(text)
    return "$" not in text


def _look(request: Request, *, looks: bool) -> None:
    """Let Hydra show help or the configuration, which is accepted first where it is shown."""
    if looks:
        with composed(request, complete=False):
            pass
    with _errors_come_to_us():
        hydra.main(request.config_dir, request.config_name, version_base="1.3")(_nothing)()


def _nothing(cfg: DictConfig) -> None:
    """Stand for a command that is only looked at."""


@contextmanager
def _errors_come_to_us() -> Iterator[None]:
    """Keep Hydra from printing errors and exiting, by the switch that it has for this."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        del os.environ["HYDRA_FULL_ERROR"]
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


def _stop(error: Exception, config_name: str) -> NoReturn:
    """Say what is wrong and exit; raise what is none of the errors that a user may meet."""
    message, code = str(error), EXIT_ERROR
    if isinstance(error, (ConfigError, *_OF_HYDRA)):
        code = EXIT_CONFIG
        message = message.splitlines()[0] if isinstance(error, _OF_HYDRA) else message
    elif not isinstance(error, ExemplarError | UnexpectedError):
        lacking = shortage_behind(error)
        if lacking is None:
            raise error
        message = lacking
    print(readable(without_passwords(f"error: {message}")), file=sys.stderr)
    if code == EXIT_CONFIG:
        print(
            f"  To see every key and its value:  python -m src.{config_name} --cfg job\n"
            f"  To see groups and options:       python -m src.{config_name} --help",
            file=sys.stderr,
        )
    sys.exit(code)


def _interrupted(how: str = "") -> NoReturn:
    print(f"Interrupted{how}.", file=sys.stderr)
    sys.exit(EXIT_INTERRUPT)
