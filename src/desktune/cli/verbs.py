"""The names of verbs: an unknown one is answered with the nearest, one of a later version with just that."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from desktune.errors import UserError, nearest

# verb (below `desktune` or `desktune data`) → what does the work meanwhile
NOT_BUILT = {
    "train-all": "desktune train CFG model.name=... trains one model at a time",
    "compare": "desktune train CFG key=value makes one run; desktune runs compares them",
    "tune": "desktune train CFG key=value makes one run; desktune runs compares them",
    "translate": "desktune generate RUN --input FILE translates line by line",
    "serve": "desktune chat RUN answers at the terminal",
    "test-merged": "desktune merge proves the merged model before it says done",
    "export": "desktune merge RUN writes a plain model folder",
    "push": "desktune merge RUN writes a folder that hf upload takes",
    "test-uploaded": "",
    "import": "desktune init DATA writes a config",
}


class Verbs(TyperGroup):
    """A group of commands with helpful answers to names that it does not have."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command.

        Raises:
            UserError: it is not built yet, or there is none of that name.
        """
        command = super().get_command(ctx, cmd_name)
        if command is not None or cmd_name.startswith("-"):
            return command
        parent = "data " if ctx.info_name == "data" else ""
        verb = parent + cmd_name
        if verb in NOT_BUILT:
            instead = f"; {NOT_BUILT[verb]}" if NOT_BUILT[verb] else ""
            raise UserError(f"desktune {verb}: not built yet in this version{instead}")
        known = [parent + name for name in self.commands]
        raise UserError(f"desktune {verb}: no such command{nearest(verb, known)}; known: {', '.join(known)}")
