"""The service with one more route: the account of an enterprise from constant data.

The route has the path parameters, the key check and the response model of the real one, and reads only the
key from the database.
"""

from typing import Annotated

from fastapi import FastAPI, Query

from app.answers import models
from app.api.http.context import EntitlementsKey, LedgerNeeded, MomentQuery
from app.main import create_default_app

_PERIODS = ("2024-01~02", "2024-03", "2024-04", "2024-05", "2024-06")


def create() -> FastAPI:
    """The application with the configured settings and the route over constant data."""
    app = create_default_app()

    @app.get("/v1/constant/{uscc}/{window}", response_model=models.Entitlement)
    def constant(
        _: LedgerNeeded, __: EntitlementsKey, ___: Annotated[MomentQuery, Query()], uscc: str, window: str
    ) -> models.Entitlement:
        return _account(uscc, window)

    return app


def _account(uscc: str, window: str) -> models.Entitlement:
    periods = [
        models.Period(
            period=period,
            stage="final",
            status="eligible",
            measure="retail-growth",
            measures=[models.MeasureOutcome(measure="retail-growth", status="eligible", rule_fen=5_000_000)],
            rule_fen=5_000_000,
            selected_fen=5_000_000,
            assessed_fen=5_000_000,
            open_fen=5_000_000,
            bound_by=[],
            open_readings=["step-amount"],
            position=1,
        )
        for period in _PERIODS
    ]
    return models.Entitlement(
        uscc=uscc,
        name="示例企业",
        region_code="210802",
        policy=models.PolicyRef(id="yingkou-2024-14", version=1, sha256="0" * 64),
        window=window,
        ceiling_fen=200_000_000,
        assessed_fen=25_000_000,
        open_fen=25_000_000,
        preliminary_fen=0,
        headroom_fen=175_000_000,
        limits=[
            models.LimitUse(
                id="half-year-ceiling",
                per="half-year",
                window=window,
                ceiling_fen=200_000_000,
                used_fen=25_000_000,
            )
        ],
        periods=periods,
        disputed=[],
        as_of=models.AsOf(
            position=1, recorded_at="2024-04-10T08:00:00Z", checkpoint=None, day_in_progress=False
        ),
    )
