"""The query parameters of a route: one model, which refuses what it does not name."""

from collections.abc import Iterator
from typing import Annotated, Final, cast

from fastapi import Depends, Query
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel, ConfigDict


class QueryModel(BaseModel):
    """What every model of query parameters shares.

    A parameter that it does not name is refused: if a misspelt `position` were ignored, the answer would be
    as of now.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoQuery(QueryModel):
    """The query of a route that takes no parameter."""


async def take_no_query(_: Annotated[NoQuery, Query()]) -> None:
    """A dependency that refuses every query parameter."""


NO_QUERY: Final = [Depends(take_no_query)]
"""The dependencies of a route that takes no query parameter."""


def query_names(dependant: Dependant) -> Iterator[str]:
    """The names of the query parameters that a route takes."""
    for parameters in dependant.query_params:
        model = cast("type[QueryModel]", parameters.field_info.annotation)
        for name, field in model.model_fields.items():
            yield field.alias or name
    for dependency in dependant.dependencies:
        yield from query_names(dependency)
