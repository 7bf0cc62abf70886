# SPDX-License-Identifier: MIT
"""The page in a real browser: headless Chromium, driven by Selenium."""

import base64
import shutil
import tempfile

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars")
#: What every view is looked at in.
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
#: Every view, with channels a and b of a device "house".
VIEWS = {
    "overview": "overview",
    "history-power": "history?series=house/a,house/b",
    "history-energy": "history?show=energy&range=month&series=house/a,house/b",
    "history-year": "history?show=energy&range=year&compare=previous",
    "history-cost": "history?show=cost&range=year",
    "history-compare": "history?compare=previous&range=day",
    "devices": "devices",
    "device": "device/house",
    "calibration": "calibration/house",
    "setup": "setup",
    "modules": "modules",
    "network": "network",
    "flash": "flash",
    "settings": "settings",
    "logs": "logs",
    "about": "about",
}


class Browser:
    """browser.open(url), then find, text and so on; closed at the end of the with block."""

    def __init__(self, language="en", size="desktop", dark=False):
        self._profile = tempfile.mkdtemp(prefix="bl2mqtt-browser-")
        options = webdriver.ChromeOptions()
        for option in (*OPTIONS, f"--lang={language}", f"--user-data-dir={self._profile}"):
            options.add_argument(option)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        self.resize(size)
        self.dark(dark)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def resize(self, size):
        width, height = SIZES[size]
        self._size = size
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"})

    def dark(self, yes):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if yes else "light"}]})

    def open(self, url):
        self.driver.get(url)

    def go(self, view):
        """Another view of the page that is open: "history?show=energy"."""
        self.driver.execute_script("location.hash = arguments[0]", f"#/{view}")

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector, timeout=10):
        return self.wait(lambda: next(iter(self.all(selector)), None), selector, timeout)

    def text(self, selector):
        return self.find(selector).text

    def wait(self, predicate, what, timeout=10):
        """The predicate's first true value; elements that were replaced meanwhile are asked again."""
        return WebDriverWait(self.driver, timeout, 0.05, (StaleElementReferenceException, IndexError)).until(
            lambda _: predicate(), f"waited for {what}")

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    def complaints(self):
        """What the browser's console says of errors and of what the security policy forbids."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING")]

    def picture(self, path):
        """The whole view, however long, as on a screen that is high enough."""
        height = self.script("return Math.max(innerHeight, Math.min(3000, document.documentElement.scrollHeight))")
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": self.script("return innerWidth"), "height": height, "deviceScaleFactor": 1, "mobile": self._size == "phone"})
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "captureBeyondViewport": True, "clip": {
                "x": 0, "y": 0, "width": self.script("return innerWidth"), "height": height, "scale": 1}})
        path.write_bytes(base64.b64decode(shot["data"]))
        self.resize(self._size)
