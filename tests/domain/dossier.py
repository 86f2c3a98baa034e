"""Builds the history of one enterprise for the red flags: returns, actors and times."""

from app.runtime.times import parse_rfc_3339
from domain.events import Return, ReturnWithdrawn
from domain.periods import Window
from domain.policy.policy import Policy
from domain.red_flags.enterprise_flags import DETECTORS, enterprise_flags
from domain.red_flags.kinds import EnterpriseHistory, FlagId, RedFlag, Scope
from domain.returns import AnnualReturns, ReturnVersion, required_figure
from tests.api.rows import code
from tests.builders import QIANYUAN, policy_of, with_figure

IN_APRIL = "2024-04-10T16:00:00+08:00"
ENDS = {"2024H1": "2024-07-01T00:00:00+08:00", "2024H2": "2025-01-01T00:00:00+08:00"}


def scope_of(
    window: str = "2024H1", *, policy: Policy | None = None, region_code: str | None = None
) -> Scope:
    """The scope of a window, under the shipped policy."""
    return Scope(Window.parse(window), parse_rfc_3339(ENDS[window]), policy or policy_of(), region_code)


WITHOUT_POLICY = Scope(Window.parse("2024H1"), parse_rfc_3339(ENDS["2024H1"]), None)


class Dossier:
    """An enterprise whose returns are registered and withdrawn."""

    def __init__(self, number: int = 1000, *, region_code: str = "210802") -> None:
        self.uscc = code(number)
        self.region_code = region_code
        self.versions: dict[tuple[str, str], list[ReturnVersion]] = {}
        self._of_year: dict[str, AnnualReturns] = {}
        self._last = 0

    def file(self, *drafts: Return, at: str = IN_APRIL, by: str = "统计甲") -> None:
        """Register returns, as the ledger would."""
        for draft in drafts:
            event = self._returns(draft.period).file(draft)
            if isinstance(event, Return):
                self._add(event, at, by)

    def withdraw(self, form: str, period: str, *, at: str = IN_APRIL, by: str = "统计甲") -> None:
        """Withdraw the standing return, if there is one."""
        event = self._returns(period).withdraw(
            form=form, period=period, reason="登记有误", origin=None, document=None
        )
        if event is not None:
            self._add(event, at, by)

    def _returns(self, period: str) -> AnnualReturns:
        return self._of_year.setdefault(period[:4], AnnualReturns(f"returns/{self.uscc}/{period[:4]}"))

    def _add(self, event: Return | ReturnWithdrawn, at: str, by: str) -> None:
        self._last += 1
        version = ReturnVersion(
            uscc=self.uscc,
            form=event.form,
            period=event.period,
            type=type(event).__name__,
            event=event,
            version=self._returns(event.period).version,
            actor=by,
            recorded_at_us=parse_rfc_3339(at),
            position=self._last,
        )
        self.versions.setdefault((event.form, event.period), []).append(version)

    @property
    def history(self) -> EnterpriseHistory:
        """The history in the form that the detectors take."""
        return EnterpriseHistory(self.uscc, "示例商贸公司", self.region_code, self.versions)

    def flags(self, *wanted: FlagId, scope: Scope | None = None) -> list[RedFlag]:
        """The questions about the enterprise: of these flags, or of all."""
        return list(enterprise_flags(self.history, scope or scope_of(), wanted or tuple(DETECTORS)))


def with_cumulative(registered: Return, current: int | None, prior_year: int | None) -> Return:
    """The return with 1—本月 of both years, 千元."""
    figure = required_figure(registered)
    changed = with_figure(registered, figure.current_fen, figure.prior_year_fen)
    (item,) = changed.figures
    cumulative = {
        "current_ytd_fen": None if current is None else current * QIANYUAN,
        "prior_year_ytd_fen": None if prior_year is None else prior_year * QIANYUAN,
    }
    figures = {item: type(figure)(figure.current_fen, figure.prior_year_fen, **cumulative)}
    fields = {name: getattr(changed, name) for name in Return.__struct_fields__}
    return Return(**{**fields, "figures": figures})
