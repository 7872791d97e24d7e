"""Tables of data/: of the repository, or from GitHub, here a server on this machine."""

import functools
import http.server
import threading

import pytest

from elsface_lite.course import tables
from elsface_lite.errors import ElsfaceError


def test_a_table_of_the_repository():
    rows = tables.table_of("sharp_loss.csv")
    assert [row["sharp_weight"] for row in rows] == ["0", "0.05", "0.2"]


def test_where_only_the_package_is_installed_it_comes_from_a_server(tmp_path, monkeypatch):
    (tmp_path / "small.csv").write_text("a,b\n1,2\n", "utf-8")
    monkeypatch.setattr(tables, "DATA", tmp_path / "not here")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(tables, "ADDRESS", f"http://127.0.0.1:{server.server_port}/")
        assert tables.table_of("small.csv") == [{"a": "1", "b": "2"}]
        with pytest.raises(ElsfaceError, match="clone the repository"):
            tables.data_file("missing.csv")
        server.shutdown()
