"""The report in headless Chromium, from file://: no errors, no overflow, no barrier; sliders do what they say."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_cases import PROVENANCE, small_proposal

from designer.audits import AuditPlan
from designer.protocol import Protocol
from followers.load import load
from solvers.deviations import check_free_effort
from studies.propose import Proposal
from studies.report import write_report
from studies.report.whatif import Settings, game_at, solved_at

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="chromium is not installed (Debian: apt-get install chromium)"),
    pytest.mark.skipif(DRIVER is None, reason="chromedriver is not installed (Debian: chromium-driver)"),
    pytest.mark.skipif(importlib.util.find_spec("selenium") is None, reason="selenium is not installed (dev extra)"),
]

QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="module")
def study() -> Proposal:
    return small_proposal(load("gsm8k"), trials=9, most=40_000.0)


@pytest.fixture(scope="module")
def report(study: Proposal, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(study, path, provenance=PROVENANCE)
    return path


@pytest.fixture(scope="module")
def short_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With every section, but few rows: axe looks at each of them."""
    plan = AuditPlan((0.5, 0.4), items=500, level=0.01, fine=8.0)
    path = tmp_path_factory.mktemp("report") / "short.html"
    unfinished = replace(PROVENANCE, finished=False, done=3, asked=12)
    write_report(small_proposal(base=Protocol(audit=plan), trials=6, most=500.0), path, provenance=unfinished)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        yield driver
    finally:
        driver.quit()


def visit(browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    browser.get(path.as_uri())


def turn(browser: Any, knob: str, value: float) -> None:
    script = (
        "const i = document.getElementById(arguments[0]); i.value = arguments[1]; i.dispatchEvent(new Event('input'))"
    )
    browser.execute_script(script, knob, value)


def column(browser: Any, k: int) -> list[str]:
    script = (
        "return [...document.querySelectorAll('#whatif-table tbody tr')].map((r) => r.cells[arguments[0]].textContent)"
    )
    found: list[str] = browser.execute_script(script, k)
    return found


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_without_errors_and_without_network(browser: Any, report: Path, width: int, scheme: str) -> None:
    visit(browser, report, width, scheme)
    assert browser.execute_script("return location.protocol") == "file:"
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_barrier(browser: Any, short_report: Path, scheme: str) -> None:
    visit(browser, short_report, 390, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    spec = importlib.util.find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core-python is not installed (dev extra)")
    browser.execute_script((Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script("const done = arguments[0]; axe.run().then(done, (e) => done(String(e)))")
    grave = [(v["id"], [n["html"][:200] for n in v["nodes"]][:3]) for v in found["violations"] if _is_grave(v)]
    assert grave == [] and len(found["passes"]) > 15


def _is_grave(violation: dict[str, Any]) -> bool:
    return violation["impact"] in {"serious", "critical"}


def test_sliders_change_the_ranking_as_the_solver_does(browser: Any, report: Path, study: Proposal) -> None:
    visit(browser, report)
    population, protocol = study.population, study.result.nearest.protocol
    before = column(browser, 0)
    assert "Checked on loading" in browser.find_element("id", "whatif-check").text
    turn(browser, "tune", 0)
    turn(browser, "steepness", 2)
    settings = Settings(0.0, steepness=2.0)
    checked = check_free_effort(game_at(population, protocol, settings))
    after = column(browser, 0)
    assert after != before and after == [population.names[i] for i in np.argsort(checked.ranks[0])]
    answer = browser.find_element("id", "whatif-answer").text
    tempted = int((checked.margins[0] < 0).sum())
    assert answer.startswith(f"{tempted} of {population.n} developers gain by climbing: there is no pure equilibrium")
    assert len(browser.find_elements("css selector", "#whatif-graph .arc")) == tempted
    solve = "const g = JSON.parse(document.getElementById('game').textContent); return truerank.solve(g, arguments[0])"
    found = browser.execute_script(solve + ".margins.map((m) => Number.isFinite(m) ? m : null)", vars_of(settings))
    expected = [None if np.isinf(m) else float(m) for m in checked.margins[0]]
    assert [m is None for m in found] == [m is None for m in expected]
    pairs = [(a, b) for a, b in zip(found, expected, strict=True) if b is not None]
    assert max(abs(a - b) for a, b in pairs) <= 1e-9
    turn(browser, "cost", 1)
    assert browser.find_element("id", "whatif-answer").text != answer
    browser.find_element("css selector", "#knobs button[type=reset]").click()
    assert column(browser, 0) == before
    assert browser.get_log("browser") == []


def vars_of(settings: Settings) -> dict[str, float]:
    return {"tune": settings.tune, "steepness": settings.steepness, "cost": settings.cost, "items": settings.items}


def test_test_items_show_how_likely_neighbours_keep_their_order(browser: Any, report: Path, study: Proposal) -> None:
    visit(browser, report)
    assert set(column(browser, 9)) == {"–"}
    turn(browser, "items", 30)
    items = int(browser.find_element("id", "items-value").text.split()[0].replace(",", ""))
    settings = Settings(study.result.nearest.protocol.tune_steps, items=items)
    expected = solved_at(study.population, study.result.nearest.protocol, settings)
    assert column(browser, 9)[:-1] == [f"{100 * p:.1f}%" for p in expected["above"]]
    assert f"expected tau-b {expected['tau']:.4g}".rstrip("0") in browser.find_element("id", "whatif-answer").text


def test_dots_tell_their_knobs_and_the_page_prints(browser: Any, report: Path) -> None:
    from selenium.webdriver import ActionChains

    visit(browser, report)
    dot = browser.find_element("css selector", "#front .chosen")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", dot)
    ActionChains(browser).move_to_element(dot).perform()
    tip = browser.find_element("id", "tip").text
    assert "tuning steps" in tip or "direct evaluation" in tip
    assert "tau-b" in tip and "designer's cost" in tip
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"]
    assert printed.startswith("JVBERi0")  # %PDF- in base 64
    assert browser.execute_script("return document.querySelectorAll('details[open]').length") == 0
