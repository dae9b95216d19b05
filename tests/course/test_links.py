"""Which addresses of other sites count as dead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from course.site.links import dead_links


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine whose page /NNN answers with the status NNN."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(int(self.path.strip("/")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
def test_a_page_that_is_gone_is_a_fault_and_one_that_refuses_programs_is_not(
    tmp_path: Path, site: str
) -> None:
    first = tmp_path / "sources" / "en" / "index.md"
    first.parent.mkdir(parents=True)
    links = [f"[{status}]({site}/{status})" for status in (200, 403, 404, 405, 410)]
    first.write_text("# Links\n\n" + " ".join([*links, "[here](none.md)"]), encoding="utf-8")
    faults = dead_links(tmp_path / "sources", tmp_path / "answers")
    assert sorted(re.findall(r"/(\d+), which does not respond", " ".join(faults))) == ["404", "410"]
    assert len(faults) == 2 and all(fault.startswith("en/index.md links to") for fault in faults)
