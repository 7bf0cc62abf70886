# SPDX-License-Identifier: MIT
"""Accessibility: axe-core's rules in every view, light and dark, phone and desktop; and the keyboard alone.

axe-core comes from npm, into the build folder or from AXE_CORE; none of it is part of the project."""

import os
import pathlib
import shutil
import subprocess

import house
import pytest
import web
from harness import free_port, wait_for, write_config
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

if not shutil.which("chromedriver"):
    pytest.skip("chromedriver is not installed", allow_module_level=True)
from page import VIEWS, Browser  # noqa: E402

#: Views that differ from others only in what their chart shows.
SAME = ("history-year", "history-cost", "history-compare")
PACKAGE = "axe-core@4.14.1"


def find_axe():
    """The text of axe.min.js, or None."""
    prefix = pathlib.Path(os.environ.get("TEST_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build")) / "npm"
    ready = pathlib.Path(os.environ.get("AXE_CORE", prefix / "node_modules/axe-core/axe.min.js"))
    if not ready.exists() and shutil.which("npm") and "AXE_CORE" not in os.environ:
        subprocess.run(["npm", "install", "--prefix", prefix, "--no-save", "--no-audit", "--no-fund", "--prefer-offline", PACKAGE],
                       capture_output=True, timeout=180)
    return ready.read_text() if ready.exists() else None


@pytest.fixture(scope="module")
def axe():
    text = find_axe()
    if text is None:
        pytest.skip(f"{PACKAGE} is not in Debian, and npm is not there or could not fetch it")
    return text


@pytest.fixture
def service(folder, spawn, broker, chips):
    for chip in chips.values():
        house.load(chip, 1200)
    client, _ = web.start(folder, spawn, broker.url)
    assert client.request("options", {"options": {"tariffs": [{"currency": "EUR", "price": 0.3}]}})[0] == 200
    wait_for(lambda: client.json("/api/v1/history/energy", device="house")[-1]["energy_kwh"], 20, "energy")
    return client


def findings(browser, axe, rules=None):
    """[(rule, impact, what, where)] of the view as it is; rules: only these."""
    if not browser.script("return !!window.axe"):
        browser.script(axe)
    browser.driver.set_script_timeout(120)
    return browser.driver.execute_async_script("""
        const done = arguments[arguments.length - 1];
        axe.run(document, {resultTypes: ["violations"], ...(arguments[0] && {runOnly: arguments[0]})}).then(({violations}) => done(violations.flatMap((rule) =>
            rule.nodes.map((node) => [rule.id, rule.impact, rule.help, node.target.join(" "), node.any[0]?.message ?? ""]))), (error) => done([["failed", String(error)]]));
    """, rules)


def settled(browser):
    return browser.script("return document.querySelector('bl-app main')?.firstElementChild && !document.querySelector('[aria-busy=true]')")


def test_axe_finds_nothing(service, axe):
    """On a phone; the contrast by day and by night. Each view is loaded anew, more often than a browser has connections
    for one host: none may be left behind by a page that is gone."""
    found = []
    with Browser(size="phone") as browser:
        for name, view in VIEWS.items():
            if name in SAME:
                continue
            browser.dark(False)
            browser.open("about:blank")
            browser.open(f"http://127.0.0.1:{service.port}/#/{view}")
            browser.wait(lambda: settled(browser), name, 20)
            browser.script("for (const one of document.querySelectorAll('details')) one.open = true")
            browser.wait(lambda: settled(browser), name, 20)
            found += [(name, *finding) for finding in findings(browser, axe)]
            browser.dark(True)
            found += [(name, "dark", *finding) for finding in findings(browser, axe, ["color-contrast"])]
    assert found == []


def test_axe_finds_nothing_at_the_login(folder, spawn, broker, chips, axe):
    port = free_port()
    path = write_config(folder, broker.url, [house.house(folder)], web={"listen": f"0.0.0.0:{port}", "password": "right horse"})
    spawn("--config", path, "run")
    client = web.Client(port)
    wait_for(client.answers, 20, "the server")
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{port}/")
        browser.find('input[type="password"]')
        assert findings(browser, axe) == []


def focused(browser):
    return browser.script("const e = document.activeElement; return [e.tagName, (e.textContent || e.ariaLabel || e.labels?.[0]?.textContent || '').trim()]")


def press(browser, *keys):
    ActionChains(browser.driver).send_keys(*keys).perform()


def test_the_keyboard_is_enough(service):
    """Tab reaches everything, what has the focus is seen, Enter and Space work, Escape leaves a dialog, and the focus comes back."""
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{service.port}/")
        browser.wait(lambda: settled(browser), "the overview")
        press(browser, Keys.TAB)
        assert focused(browser) == ["A", "Skip to the content"]
        press(browser, Keys.ENTER)
        assert focused(browser)[0] == "MAIN"
        browser.script("document.activeElement.blur(); scrollTo(0, 0)")
        browser.go("device/house")
        browser.wait(lambda: browser.all("bl-device h1") and settled(browser), "the device")
        browser.script("for (const one of document.querySelectorAll('details')) one.open = true; document.querySelector('.skip').focus()")
        wanted = browser.script("""
            return [...document.querySelectorAll('a[href], button, input, select, summary')].filter((e) => e.checkVisibility() && !e.disabled).length""")
        reached = set()

        def tab_on():
            """Another press of Tab; true when everything was reached."""
            if focused(browser)[0] != "BODY":  # the way round leads over the browser's own controls
                key, shown, html = browser.script("""
                    const e = document.activeElement;
                    const style = getComputedStyle(e);
                    e.dataset.seen ??= String(window.seen = (window.seen ?? 0) + 1);
                    return [e.dataset.seen, style.outlineStyle !== 'none' || style.boxShadow !== 'none', e.outerHTML.slice(0, 200)]""")
                assert shown, f"nothing shows that this has the focus: {html}"
                reached.add(key)
            press(browser, Keys.TAB)
            return len(reached) >= wanted

        browser.wait(tab_on, "Tab to reach everything", 60)
        remove = next(one for one in browser.all("button") if one.text == "Remove")
        browser.script("arguments[0].focus()", remove)
        press(browser, Keys.SPACE)
        browser.find("dialog[open]")
        assert focused(browser)[0] == "BUTTON"
        press(browser, Keys.ESCAPE)
        browser.wait(lambda: not browser.all("dialog"), "the dialog to be gone")
        assert focused(browser) == ["BUTTON", "Remove"] and len(service.json("/api/v1/devices")) == 1
