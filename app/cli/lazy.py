"""Groups that import a command only when it is called, so that a read does not load the server."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, ClassVar

from typer._click.core import Command
from typer.main import get_group

from app.cli.help import HelpGroup


class LazyGroup(HelpGroup):
    """A group whose commands are imported on demand.

    Attributes:
        modules: By the name of a command, in the order of the help, the module of `app.cli` that holds it or
            its group.
    """

    modules: ClassVar[Mapping[str, str]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _Commands(self.modules)


class _Commands(Mapping[str, Command]):
    """The commands by name: a command of the module's `app`, or that group itself."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        self._modules = modules

    def __getitem__(self, name: str) -> Command:
        group = get_group(import_module(f"app.cli.{self._modules[name]}").app)
        return group.commands.get(name, group)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
