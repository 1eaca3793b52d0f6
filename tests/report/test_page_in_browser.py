"""The page in a real browser: headless Chromium, with a proxy of ours that notes whatever it is asked for."""

import re
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from html import escape

import pytest

from understudy.report import read_run, write_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
         "--disable-default-apps", "--disable-extensions", "--hide-scrollbars")  # fmt: skip
POLICY = r'<meta http-equiv="Content-Security-Policy"[^>]*>'
ELSEWHERE = "fonts.googleapis.com"
# Services that Chromium asks for whatever the page is.
OWN_HOSTS = re.compile(r" (http://)?((clients\d*|accounts)\.google|(update|optimizationguide-pa)\.googleapis)\.com[:/]")
MEASURE = """
<script>
const page = document.querySelector("iframe");
page.addEventListener("load", () => {
  const inside = page.contentDocument;
  for (const closed of inside.querySelectorAll("details")) closed.open = true;
  const wide = [...inside.querySelectorAll("svg[role=img]")].map(svg => svg.getBoundingClientRect());
  document.body.dataset.width = inside.documentElement.clientWidth;
  document.body.dataset.content = inside.documentElement.scrollWidth;
  document.body.dataset.drawings = wide.length;
  document.body.dataset.drawn = wide.filter(box => box.width > 200 && box.height > 100).length;
  document.body.dataset.outside = wide.filter(box => box.right > inside.documentElement.clientWidth).length;
});
</script>
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium to look at the page"),
]


@contextmanager
def recording_proxy():
    """A port that answers nothing, and the list of what was asked for there."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # the server was closed: the test is over
                    return
                with connection:
                    connection.settimeout(5)
                    asked.append(connection.recv(4096).decode("latin-1").partition("\r\n")[0])

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)
    thread.join(timeout=10)


def look_at(page, profile, *, width=1280):
    """The page's DOM once it has loaded, and the requests it made, all in vain."""
    with recording_proxy() as (port, asked):
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"--proxy-server=127.0.0.1:{port}",
                   f"--window-size={width},2400", "--dump-dom", page.as_uri()]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in asked if not OWN_HOSTS.search(line)]


def in_frame(page, width, extra=""):
    """A copy of the page in a frame of this width: a window itself cannot be as narrow as a phone."""
    text = re.sub(POLICY, "", page.read_text()).replace("</main>", f"{extra}</main>")
    copy = page.with_name(f"frame{width}.html")
    frame = f'<iframe style="width:{width}px;height:2000px;border:0" srcdoc="{escape(text)}"></iframe>'
    copy.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">{frame}{MEASURE}</body>')
    return copy


def measured(dom):
    body = re.search(r"<body[^>]*>", dom)
    assert body
    return {name: int(value) for name, value in re.findall(r'data-(\w+)="(\d+)"', body[0])}


@pytest.fixture
def page(folders, four_runs, tmp_path):
    long_name = folders.make("kd", 79.0, name="a_run_with_a_very_long_name_" * 4, folder="long")
    return write_page([read_run(path) for path in (*four_runs, long_name)], tmp_path / "page.html")


@pytest.mark.timeout(180)
def test_the_page_renders_without_asking_anybody(page, tmp_path):
    # Without its policy, which would stop a request before anyone could see it.
    page.write_text(re.sub(POLICY, "", page.read_text()))
    dom, asked = look_at(page, tmp_path / "profile")
    assert re.search(r'<table id="comparison">.*?88\.84.*?</table>', dom, flags=re.DOTALL)
    assert dom.count("<svg") == page.read_text().count("<svg") > 8
    assert asked == []


@pytest.mark.timeout(180)
def test_a_page_that_asks_would_be_noticed(page, tmp_path):
    image = f'<img src="http://{ELSEWHERE}/pixel.png">'
    page.write_text(re.sub(POLICY, "", page.read_text()).replace("</main>", f"{image}</main>"))
    _, asked = look_at(page, tmp_path / "profile")
    assert any(ELSEWHERE in line for line in asked)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_hangs_over_the_edge_with_everything_opened(page, tmp_path, width):
    dom, _ = look_at(in_frame(page, width), tmp_path / "profile")
    found = measured(dom)
    assert found["width"] == found["content"] == width
    assert found["outside"] == 0
    assert found["drawn"] == found["drawings"] == 6


@pytest.mark.timeout(180)
def test_something_that_hangs_over_the_edge_would_be_noticed(page, tmp_path):
    dom, _ = look_at(in_frame(page, 390, '<div style="width:500px">too wide</div>'), tmp_path / "profile")
    assert measured(dom)["content"] > 390
