"""``login``: a token of the Hub or of W&B, asked for without being shown, kept in the system's keyring."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from desktune.cli.secrets import KEPT, KEYRING, usable_keyring
from desktune.errors import MissingExtra, UserError, nearest


def login(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(KEPT)}.", metavar="SERVICE")] = "hub",
    more: Annotated[list[str] | None, typer.Argument(hidden=True)] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Take the token out of the keyring again.")] = False,
) -> None:
    """Keep a token in the system's keyring.

    It is asked for at a hidden prompt, since a command line is read by everybody on the machine. HF_TOKEN or
    WANDB_API_KEY of the environment and of .env go before it.
    """
    name = KEPT.get(service)
    if name is None or more:  # not repeated: it may be a token, which other tools take there
        hint = nearest(service, list(KEPT)) or "; a token is asked for, it never stands on the command line"
        raise UserError(f"login: one service is due, of {', '.join(KEPT)}{hint}")
    keyring = usable_keyring()
    if keyring is None:
        raise MissingExtra("keyring", "keyring", f"desktune login (or put {name}=... into .env)")
    from keyring.errors import KeyringError, PasswordDeleteError

    try:
        if forget:
            keyring.delete_password(KEYRING, name)
            typer.echo(f"{name} is gone from the keyring")
            return
        keyring.set_password(KEYRING, name, _asked(name))
    except PasswordDeleteError:
        typer.echo(f"the keyring holds no {name}")
    except KeyringError as error:
        raise UserError(f"this system has no keyring that can be used ({error}); put {name}=... into .env") from error
    else:
        typer.echo(f"{name} is in the keyring ({keyring.get_keyring().name})")


def _asked(name: str) -> str:
    """Return what was typed at the hidden prompt. Raises UserError where there is no terminal, or for nothing."""
    if not sys.stdin.isatty():
        raise UserError(f"login asks at a terminal and this is none; put {name}=... into the environment or into .env")
    token = getpass.getpass(f"{name} (is not shown): ").strip()
    if not token:
        raise UserError("no token was typed; nothing changed")
    return token


VERBS = (("login", login, "desktune login hub"),)
