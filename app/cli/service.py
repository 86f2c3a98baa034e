"""`duixian serve`: the service over HTTP."""

from typing import Annotated

import typer

from app.cli.command import Commands, shows_no_figures
from app.cli.common import get_ledger, refuse
from app.cli.serving import serve_http
from app.runtime.settings import read_settings

app = Commands()


@app.command()
@shows_no_figures
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="监听地址；默认取DUIXIAN_HOST。")] = None,
    port: Annotated[int | None, typer.Option(help="监听端口；默认取DUIXIAN_PORT。")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="服务进程数；默认取DUIXIAN_WORKERS。")] = None,
) -> None:
    """启动接口服务。"""
    settings = read_settings()
    get_ledger(context).engine.dispose()
    served = serve_http(
        settings,
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers or settings.workers,
    )
    if not served:
        refuse("服务进程未能启动，原因见日志。")
