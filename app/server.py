"""The web process: REST, health, plotly.js and the pages behind one local port.

It needs no torch and no GPU; runs are computed by workers. Start with `create_app`; `main` listens.
"""

from __future__ import annotations

import errno
import socket
import sys
import warnings
from dataclasses import asdict

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse

from app import theme
from app.api import build_api, build_metrics_router
from app.build import build_pages
from app.components.chart import PLOTLY_ADDRESS, find_plotly_script
from app.health import check_health
from app.security import SecurityHeaders, is_local
from app.services import Services, open_services
from app.text import shell
from engine.errors import BitdialError
from tasks.settings import Settings, load_settings

_MAX_UPLOAD = "5mb"
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def create_app(services: Services) -> FastAPI:
    """Assemble the whole web application.

    Args:
        services: What pages and REST work with; stays open as long as the application.
    """
    app = FastAPI(title=shell.PRODUCT, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        health = check_health(services)
        return JSONResponse(asdict(health), status_code=200 if health.is_well else 503)

    @app.get(PLOTLY_ADDRESS)
    def plotly() -> FileResponse:
        return FileResponse(find_plotly_script(), media_type="text/javascript", headers=_FOREVER)

    app.include_router(build_metrics_router(services))
    app.mount("/api/v1", build_api(services))
    mounted = _mount_pages(app, build_pages(services))
    mounted.add_middleware(SecurityHeaders)
    return mounted


def _mount_pages(app: FastAPI, pages: gr.Blocks) -> FastAPI:
    with warnings.catch_warnings():
        # Gradio says so for every mounted application with several pages, asked for or not.
        warnings.filterwarnings("ignore", message="SSR mode is not supported", category=UserWarning)
        return gr.mount_gradio_app(
            app,
            pages,
            path="",
            theme=theme.build_theme(),
            css=theme.load_css(),
            head=theme.HEAD,
            js=theme.ON_LOAD,
            show_error=False,
            run_history=False,
            footer_links=[],
            max_file_size=_MAX_UPLOAD,
            ssr_mode=False,
        )


def main(settings: Settings) -> int:
    """Serve until interrupted.

    Returns:
        0 after an orderly end; 2 where address or store cannot be used, with a sentence on stderr.
    """
    if not (is_local(settings.host) or settings.trusted_network):
        return _refuse(shell.HOST_OPEN.format(host=settings.host))
    try:
        listener = open_listener(settings.host, settings.port)
    except OSError as error:
        return _refuse(_explain(error, settings))
    with listener:
        try:
            services = open_services(settings)
        except BitdialError as error:
            return _refuse(str(error))
        try:
            _serve(services, listener)
        finally:
            services.database.dispose()
    return 0


def open_listener(host: str, port: int) -> socket.socket:
    """Bind the port before anything slow happens; port 0 takes a free one.

    Raises:
        OSError: When the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _serve(services: Services, listener: socket.socket) -> None:
    app = create_app(services)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=3)
    host, port = listener.getsockname()[:2]
    _say(shell.LISTENING.format(host=host, port=port))
    uvicorn.Server(config).run(sockets=[listener])


def _explain(error: OSError, settings: Settings) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        return shell.PORT_IN_USE.format(host=settings.host, port=settings.port)
    return shell.HOST_UNKNOWN.format(host=settings.host)


def _refuse(sentence: str) -> int:
    _say(sentence)
    return 2


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def _run() -> int:
    try:
        return main(load_settings())
    except BitdialError as error:
        return _refuse(str(error))


if __name__ == "__main__":
    raise SystemExit(_run())
