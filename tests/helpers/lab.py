"""JupyterLab in Chromium, with a lesson open and run: what the tests of the lessons look at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode
from playwright.sync_api import Browser, Locator, Page, expect

SETTINGS = {
    # Every cell stays in the page, those out of sight too.
    "notebook-extension/tracker": {"windowingMode": "none"},
    # Nothing is asked of the network.
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
# Seconds, generous ones: machines that test are slow.
START = 180  # for the server, and for a lesson to open
RUN = 1800  # for all the cells of a lesson
PATIENCE = 60  # for anything else to show

READY = """path => {
  const panel = window.jupyterapp?.shell.currentWidget;
  return panel?.context?.path === path && panel.context.isReady && panel.sessionContext.isReady
    && panel.sessionContext.session?.kernel?.status === 'idle';
}"""
RUN_ALL = """() => {
  window.ended = false;
  window.jupyterapp.commands.execute('notebook:run-all-cells').finally(() => window.ended = true);
}"""
ENDED = """() => window.ended &&
  window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"""
END_KERNEL = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.shutdown()"


@contextmanager
def jupyterlab(root: Path, log: Path, command: Sequence[str] = ()) -> Iterator[str]:
    """The address of a JupyterLab of this Python at ``root``, with its token; ended afterwards.

    It reads no settings or kernels of the reader's own. Another command may start it.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name, settings in SETTINGS.items():
            file = Path(folder, "settings", "@jupyterlab", f"{name}.jupyterlab-settings")
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(settings), encoding="utf-8")
        places = {
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
        }
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")
        } | {name: str(Path(folder, place)) for name, place in places.items()}
        plain = (
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            f"--ServerApp.root_dir={root}",
        )
        with log.open("w", encoding="utf-8") as output:
            server = subprocess.Popen(
                [*(command or plain), "--LabApp.expose_app_in_browser=True"],
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            about = _about(server, Path(folder, "runtime"), log)
            yield f"{about['url']}lab/tree/{{path}}?reset&token={about['token']}"
        finally:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()


def _about(server: subprocess.Popen[bytes], runtime: Path, log: Path) -> dict[str, str]:
    """What a starting server writes about itself."""
    end = time.monotonic() + START
    while time.monotonic() < end and server.poll() is None:
        for file in runtime.glob("jpserver-*.json"):
            text = file.read_text(encoding="utf-8")
            if text.endswith("}"):  # written to its end
                about: dict[str, str] = json.loads(text)
                return about
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab does not start: {log} says why.")


@dataclass(frozen=True)
class OpenLesson:
    """A lesson whose cells have all been run in JupyterLab."""

    page: Page
    language: str
    stem: str
    cells: list[NotebookNode]

    def cell(self, index: int) -> Locator:
        """What the page shows of a cell."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def tagged(self, tag: str) -> list[int]:
        """The places of the cells with a tag."""
        return [
            index for index, cell in enumerate(self.cells) if tag in cell.metadata.get("tags", [])
        ]


@contextmanager
def notebook_page(browser: Browser, address: str, path: str) -> Iterator[Page]:
    """A page with the notebook ``path`` open and its kernel ready; both ended afterwards."""
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    page.set_default_timeout(1000 * PATIENCE)
    expect.set_options(timeout=1000 * PATIENCE)
    try:
        page.goto(address.format(path=path), timeout=1000 * START)
        page.wait_for_function(READY, arg=path, timeout=1000 * START)
        yield page
    finally:
        page.evaluate(END_KERNEL)
        page.close()


def run_all(page: Page) -> None:
    """Run every cell, and wait until the kernel has nothing left to do."""
    page.evaluate(RUN_ALL)
    page.wait_for_function(ENDED, timeout=1000 * RUN)
