"""Reports are one whole HTML file each, with everything inside, and nothing of the data read as HTML."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import struct
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from typer.testing import CliRunner

import convexrelu as cr
from convexrelu.cli import app

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """A page taken apart: its tags must close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.pictures = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        assert not {"href", "srcset"} & set(given)
        if tag == "img":
            assert given["alt"]
            kind, content = given["src"].split(",")
            assert kind == "data:image/png;base64"
            self.pictures.append(base64.b64decode(content, validate=True))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def read(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert "http" not in text
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    page = Page(text)
    assert {"html", "script"} & set(page.tags) == {"html"}
    for picture in page.pictures:
        assert picture.startswith(b"\x89PNG")
        width, height = struct.unpack(">II", picture[16:24])
        assert width > 300
        assert height > 200
    return page


def test_verify_reports_its_runs(run, tmp_path):
    done = run("verify", "--runs", 2, "--no-plots", "--report", "r.html")
    assert done.exit_code == 0, done.output
    page = read(tmp_path / "r.html")
    assert "All 2 runs of gradient descent converge to the global optimum, P* = 1.282432" in page.text
    for title in (
        "The data",
        "The optimum",
        "The certificate",
        "The runs",
        "Figures",
        "How to check it again",
    ):
        assert title in page.text
    assert page.tags.count("img") == 4
    assert "convexrelu verify wang-pilanci-f1 --width 10 --init-scale 0.001 --runs 2 --seed 0" in page.text


def test_solve_reports_classes_by_their_names_and_escapes_them(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(24, 2))
    names = ["<b>a & b</b>", "plain", "größer"]
    rows = ["width,<script>alert(1)</script>,kind"]
    rows += [f"{a:.4f},{b:.4f},{names[k % 3]}" for k, (a, b) in enumerate(X)]
    (tmp_path / "data.csv").write_text("\n".join(rows), encoding="utf-8")
    done = run("solve", "data.csv", "--C", 1, "--tol", 1e-2, "--out", "m.json", "--report", "r.html")
    assert done.exit_code == 0, done.output
    page = read(tmp_path / "r.html")
    assert "<b>a & b</b>: 8, größer: 8, plain: 8" in page.text
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "convexrelu check m.json data.csv" in page.text
    assert page.tags.count("img") == 7  # of each class its outputs and the plane; the bounds of all


def test_solve_reports_numbers(run, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 2))
    np.savez("d.npz", X=X, y=np.maximum(X[:, 0], 0))
    done = run("solve", "d.npz", "--loss", "squared", "--beta", 0.1, "--tol", 1e-2, "--report", "r.html")
    assert done.exit_code == 0, done.output
    page = read(tmp_path / "r.html")
    assert "square loss, plus 0.1/2 times the squared weights" in page.text
    assert page.tags.count("img") == 2


def test_certify_reports_how_far_a_network_is(run, tmp_path):
    cr.TwoLayerReLU(cr.datasets.load("wang-pilanci-f1").X, [1.0, -1.0]).save("n.json")
    done = run("certify", "wang-pilanci-f1", "n.json", "--report", "r.html")
    assert done.exit_code == 1, done.output
    page = read(tmp_path / "r.html")
    assert "How far the network is from the optimum" in page.text
    assert "With --out FILE.json" in page.text
    assert run("certify", "wang-pilanci-f1", "n.json", "--report", "no/r.html").exit_code == 2
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"] == []


def test_a_network_that_does_not_fit_has_no_number(run, tmp_path):
    cr.TwoLayerReLU(-np.eye(2), [1.0, -1.0]).save("wrong.json")
    done = run("certify", "wang-pilanci-f1", "wrong.json", "--report", "wrong.html")
    assert done.exit_code == 1, done.output
    page = (tmp_path / "wrong.html").read_text(encoding="utf-8")
    assert "none: it does not fit" in page
    assert ">inf<" not in page
    assert "inf" not in done.stdout.split()


WRAPPER = """<!doctype html><title>waiting</title><pre></pre>
<iframe width="390" height="844" srcdoc="{page}"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {{
  const page = frame.contentDocument;
  const found = {{
    width: page.documentElement.scrollWidth,
    pictures: [...page.images].map((image) => image.complete && image.naturalWidth > 0),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
  }};
  document.querySelector("pre").textContent = "found" + JSON.stringify(found);
}});
</script>"""


def test_reports_open_in_a_browser(run, tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    chromium = next((path for path in map(shutil.which, names) if path), None)
    if chromium is None:
        pytest.skip("no Chromium")
    assert run("verify", "--runs", 1, "--report", "r.html").exit_code == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    (tmp_path / "phone.html").write_text(WRAPPER.format(page=html.escape(page)), encoding="utf-8")
    for dark in (False, True):
        command = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--virtual-time-budget=10000",
            "--dump-dom",
            (tmp_path / "phone.html").as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        found = json.loads(re.search(r"<pre>found(.*?)</pre>", done.stdout).group(1))
        assert found["width"] <= 390
        assert len(found["pictures"]) > 0
        assert all(found["pictures"])
        assert found["dark"] == dark
        shades = [int(shade) for shade in re.findall(r"\d+", found["background"])[:3]]
        assert max(shades) < 60 if dark else min(shades) > 200
