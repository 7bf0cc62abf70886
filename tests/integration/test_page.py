# SPDX-License-Identifier: MIT
"""The page in headless Chromium, against the real service and simulated chips."""

import contextlib
import datetime
import http.client
import json
import shutil
import tarfile
import time

import house
import pytest
import web
import yaml
from harness import Subscriber, free_port, wait_for, write_config
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

if not shutil.which("chromedriver"):
    pytest.skip("chromedriver is not installed", allow_module_level=True)
from page import Browser  # noqa: E402


@pytest.fixture
def service(folder, spawn, broker, chips):
    for chip in chips.values():
        house.load(chip, 1200)
    client, process = web.start(folder, spawn, broker.url)
    client.process = process
    wait_for(lambda: client.json("/api/v1/state/house")["power_a"], 20, "a reading")
    return client


@pytest.fixture
def browser():
    with Browser() as instance:
        yield instance
        # The last is what Debian 13's dygraphs says while it is zoomed and the finer data are on their way.
        allowed = ("status of 4", "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_SOCKET_NOT_CONNECTED", "ERR_EMPTY_RESPONSE",
                   "ERR_INCOMPLETE_CHUNKED", "points out of X bounds")
        complaints = [text for text in instance.complaints() if not any(word in text for word in allowed)]
        assert complaints == [], "the console must be silent: no error, nothing that the security policy forbids"


def url(client, view="overview"):
    return f"http://127.0.0.1:{client.port}{client.base}/#/{view}"


def power_of(browser, index=0):
    text = browser.all("bl-channel .value")[index].text.replace(",", "")
    return float(text) if text not in ("", "–") else None


def test_overview_is_live(service, browser, chips):
    browser.open(url(service))
    browser.wait(lambda: len(browser.all("bl-channel")) == 2 and abs((power_of(browser) or 0) - 1200) < 20, "the power")
    house.load(chips["a"], 3000)
    browser.wait(lambda: abs(power_of(browser) - 3000) < 50, "the new power", 5)
    assert "kWh" in browser.text("bl-channel .sums")
    house.load(chips["b"], -2000)
    browser.wait(lambda: "Feeding back" in browser.all("bl-channel")[1].text, "the direction")
    browser.find(".flow-choices summary").click()
    Select(browser.all(".flow-choices select")[1]).select_by_value("solar")
    browser.wait(lambda: "sun gives 2,0" in browser.text(".flow-summary"), "the flow")


def test_offline_is_said_in_words(service, browser, chips):
    browser.open(url(service))
    browser.wait(lambda: power_of(browser), "the power")
    chips["a"].close()
    chips["b"].close()
    browser.wait(lambda: "does not answer" in browser.text(".problems"), "the problem", 60)
    assert browser.find(".channel.stale .age").text.startswith("Last reading")


def test_navigation_names_and_keyboard(service, browser):
    browser.open(url(service))
    names = browser.wait(lambda: [link.text for link in browser.all("nav a")], "the navigation")
    assert names == ["Overview", "History", "Devices", "Add a meter", "Wi-Fi modules", "Settings", "Log", "About"]
    for view in ("history", "devices", "setup", "modules", "settings", "logs", "about"):
        browser.find(f'nav a[href="#/{view}"]').click()
        browser.wait(lambda: browser.find("main h1").text == browser.find("nav a[aria-current]").text, view)
        assert browser.script("return [...document.querySelectorAll('input, select, button, a')].filter((e) => e.checkVisibility()"
                              " && !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).map((e) => e.outerHTML)") == []
        assert len(browser.all("h1")) == 1
    assert browser.script("return getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("language, word", [("de", "Verlauf"), ("de-AT", "Verlauf"), ("en", "History"), ("fr", "History")])
def test_language_of_the_browser(service, language, word):
    with Browser(language=language) as browser:
        browser.open(url(service, "history"))
        browser.wait(lambda: browser.text("main h1") == word, word)
        assert browser.script("return document.documentElement.lang") == language[:2].replace("fr", "en")


def test_history_zoom_and_compare(service, browser):
    wait_for(lambda: service.json("/api/v1/history/energy", device="house")[-1]["energy_kwh"], 20, "energy")
    browser.open(url(service, "history?series=house/a"))
    browser.wait(lambda: "W on average" in browser.text(".legend"), "the legend")
    canvas = browser.find(".chart-canvas canvas")
    assert canvas.size["width"] > 400
    ActionChains(browser.driver).move_to_element_with_offset(canvas, -100, 0).click_and_hold().move_by_offset(150, 0).release().perform()
    browser.wait(lambda: "range=custom" in browser.driver.current_url and "from=" in browser.driver.current_url, "the zoom in the address")
    browser.find('[data-value="energy"]').click()
    browser.wait(lambda: "show=energy" in browser.driver.current_url, "energy")
    browser.find('[data-value="day"]').click()
    browser.wait(lambda: "kWh" in browser.text(".legend"), "energy in the legend")
    compare = [field for field in browser.all(".field") if "Compare" in field.text][0]
    Select(compare.find_element(By.TAG_NAME, "select")).select_by_value("previous")
    browser.wait(lambda: "Period before" in browser.text(".legend"), "the comparison")
    browser.find('[aria-label="Earlier"]').click()
    browser.wait(lambda: "at=" in browser.driver.current_url, "the day before")
    browser.open(browser.driver.current_url)  # the address holds the view
    browser.wait(lambda: "Period before" in browser.text(".legend"), "the same view")
    browser.script("document.querySelector('.data-table').open = true")
    browser.wait(lambda: len(browser.all(".data-table tbody tr")) == 24, "the table of hours")


def test_settings_are_written_to_bridge_yaml(folder, service, browser):
    browser.open(url(service, "settings"))
    browser.find('[data-group="bridge"] summary').click()
    level = Select(browser.find('[data-group="bridge"] select[name="log_level"]'))
    level.select_by_value("warning")
    browser.find('[data-group="bridge"] button.primary').click()
    browser.wait(lambda: browser.all('[data-group="bridge"] .notice'), "an answer")
    assert "Saved" in browser.text('[data-group="bridge"] .notice')
    wait_for(lambda: yaml.safe_load((folder / "bridge.yaml").read_text())["bridge"]["log_level"] == "warning", 5, "the file")


def within(browser, place, label, index=0):
    """The control with that label in a part of the page."""
    fields = browser.wait(lambda: [f for f in browser.all(f"{place} .field") if f.text.split("\n")[0] == label][index:], label)
    return fields[0].find_element(By.CSS_SELECTOR, "input, select")


def save_group(browser, group, words="Saved"):
    browser.find(f'[data-group="{group}"] button.primary').click()
    browser.wait(lambda: words in browser.text(f'[data-group="{group}"] .notice'), words)


def replace(node, text):
    node.clear()
    node.send_keys(text)


def test_tariffs_prices_and_co2_are_edited(folder, service, browser, broker):
    """A dynamic tariff with a night rate, where its prices come from, and CO2 without any tariff, all by the page."""
    written = lambda: yaml.safe_load((folder / "bridge.yaml").read_text())  # noqa: E731
    begin = int(time.time()) // 3600 * 3600 - 12 * 3600
    broker.publish("energy/co2", [{"start": datetime.datetime.fromtimestamp(begin + hour * 3600, datetime.timezone.utc).isoformat(), "intensity": 400}
                                  for hour in range(24)], retain=True)
    browser.open(url(service, "history?show=cost"))
    browser.wait(lambda: "No tariff is set up" in browser.text("bl-history .notice.warning"), "what is missing")
    browser.go("settings")
    for group in ("co2", "prices", "tariffs"):
        browser.find(f'[data-group="{group}"] summary').click()
    within(browser, '[data-group="co2"]', "MQTT topic with the CO2 intensities").send_keys("energy/co2")
    save_group(browser, "co2")
    wait_for(lambda: written().get("co2") == {"topic": "energy/co2"}, 5, "the file")
    browser.go("history?show=cost")
    browser.wait(lambda: "No tariff is set up" in browser.text("bl-history"), "what is missing")
    browser.find('[data-value="co2"]').click()
    browser.wait(lambda: "kg" in browser.text(".legend") and not browser.all("bl-history .notice"), "the CO2")
    browser.go("settings")
    for group in ("prices", "tariffs"):
        browser.find(f'[data-group="{group}"] summary').click()
    within(browser, '[data-group="prices"]', "MQTT topic with the prices").send_keys("energy/prices")
    Select(within(browser, '[data-group="prices"]', "What the prices are for")).select_by_value("MWh")
    save_group(browser, "prices")
    wait_for(lambda: written().get("prices") == {"topic": "energy/prices", "unit": "MWh"}, 5, "the file")
    place = '[data-group="tariffs"]'
    press_in(browser, place, "Add another")
    for label, value in (("Currency", "EUR"), ("Price of a kilowatt hour", "0.17"), ("Factor for the dynamic price", "1.19")):
        replace(within(browser, place, label), value)
    within(browser, place, "Dynamic: follows prices by the hour").click()
    press_in(browser, f"{place} .list-item", "Add another")
    for label, value in (("From (time of day)", "22:00"), ("To (time of day)", "06:00")):
        replace(within(browser, place, label), value)
    within(browser, place, "Price of a kilowatt hour", 1).send_keys("0.09")
    save_group(browser, "tariffs")
    wait_for(lambda: written().get("tariffs") == [{"currency": "EUR", "price": 0.17, "dynamic": True, "factor": 1.19,
                                                   "windows": [{"from": "22:00", "to": "06:00", "price": 0.09}]}], 5, "the file")
    replace(within(browser, place, "Valid from"), "soon")
    browser.find(f"{place} button.primary").click()
    browser.wait(lambda: "valid_from" in browser.text(f"{place} .notice.bad"), "what is wrong")
    assert "valid_from" not in written()["tariffs"][0]


def press_in(browser, place, text):
    browser.wait(lambda: next((b for b in browser.all(f"{place} button") if b.text == text), None), text).click()


def test_homeassistant_entities_are_edited(folder, service, browser, broker):
    written = lambda: yaml.safe_load((folder / "bridge.yaml").read_text())["devices"][0].get("homeassistant")  # noqa: E731
    discovery = Subscriber(broker.port, ["homeassistant/device/#"])
    browser.open(url(service, "device/house"))
    browser.find("bl-device > details:last-of-type summary")
    browser.script("document.querySelector('bl-device > details').open = true")
    place = "bl-device > details"
    browser.wait(lambda: [f for f in browser.all(f"{place} fieldset") if f.text.startswith("Single values")], "the list")
    browser.script("[...document.querySelectorAll('bl-device fieldset')].find((f) => f.textContent.startsWith('Single values')).querySelector(':scope > button').click()")
    for label, value in (("Value", "power_a"), ("Decimals", "0"), ("Icon", "mdi:stove")):
        within(browser, f"{place} .list-item", label).send_keys(value)
    within(browser, place, "Values without an entity").send_keys("power_apparent_a, power_apparent_b")
    browser.find("bl-device form button.primary").click()
    browser.wait(lambda: "Saved" in browser.text("bl-device form .notice"), "the answer")
    wait_for(lambda: written() == {"exclude": ["power_apparent_a", "power_apparent_b"],
                                   "entities": [{"property": "power_a", "icon": "mdi:stove", "precision": 0}]}, 5, "the file")
    announced = wait_for(lambda: next((m for m in reversed(list(discovery.messages)) if "mdi:stove" in json.dumps(m["payload"])), None), 10, "the icon in Home Assistant")
    payload = announced["payload"] if isinstance(announced["payload"], dict) else json.loads(announced["payload"])
    assert payload["components"]["power_apparent_a"] == {"platform": "sensor"}, "that is how an entity goes away"


def test_device_page_renames(service, browser):
    browser.open(url(service, "device/house"))
    browser.wait(lambda: "Voltage" in browser.text(".values"), "the values")
    browser.script("document.querySelector('bl-device > details').open = true")
    name = browser.wait(lambda: next((i for i in browser.all("bl-device input") if i.get_attribute("value") == "House meter" and i.is_displayed()), None), "the name")
    name.clear()
    name.send_keys("Cellar")
    browser.find("bl-device button.primary").click()
    browser.wait(lambda: service.json("/api/v1/devices")[0]["friendly_name"] == "Cellar", "the new name")
    browser.wait(lambda: "Cellar" in browser.text("h1"), "the new name on the page")


def field(browser, label):
    return browser.wait(lambda: next((f for f in browser.all(".field") if f.text.startswith(label)), None), label).find_element(
        By.CSS_SELECTOR, "input, select")


def button(browser, text):
    return browser.wait(lambda: next((b for b in browser.all("button") if b.text == text and b.is_enabled()), None), text, 20)


def test_calibration_from_reading_to_undo(service, browser):
    browser.open(url(service, "calibration/house"))
    browser.wait(lambda: "W" in browser.text(".live") and "load is steady" in browser.text("bl-calibration"), "a steady load", 30)
    field(browser, "Voltage (V)").send_keys("233")
    seconds = field(browser, "Measure for")
    seconds.clear()
    seconds.send_keys("3")
    button(browser, "Measure and compare").click()
    button(browser, "Use the new factors from now on")
    assert abs(service.json("/api/v1/state/house")["voltage_a"] - 230) < 0.5, "nothing has changed yet"
    button(browser, "Use the new factors from now on").click()
    wait_for(lambda: abs(service.json("/api/v1/state/house")["voltage_a"] - 233) < 0.5, 10, "the new factors")
    button(browser, "Undo").click()
    wait_for(lambda: abs(service.json("/api/v1/state/house")["voltage_a"] - 230) < 0.5, 10, "the old factors")


def test_set_up_adds_a_device(folder, spawn, broker, browser, chips):
    """The first start: no device yet; one over the network is added, and stands in bridge.yaml."""
    client, _ = web.start(folder, spawn, broker.url, devices=[])
    browser.open(url(client))
    browser.find("bl-overview .empty a").click()
    Select(field(browser, "Connection")).select_by_value("esphome")
    field(browser, "Topic prefix").send_keys("em-attic")
    field(browser, "Name").send_keys("Attic meter")
    button(browser, "Add").click()
    browser.wait(lambda: "Added." in browser.text("bl-setup form .notice"), "the answer")
    assert [device["id"] for device in client.json("/api/v1/devices")] == ["attic_meter"]
    assert yaml.safe_load((folder / "bridge.yaml").read_text())["devices"][0]["topic"] == "em-attic"
    browser.go("overview")
    browser.wait(lambda: len(browser.all("bl-channel")) == 2, "its channels")


def test_broker_is_tested_before_it_is_saved(service, browser, broker):
    browser.open(url(service, "setup"))
    server = field(browser, "Server")
    for address, words in ((broker.url, "lets this bridge in"), (f"mqtt://127.0.0.1:{free_port()}", "nothing listens"),
                           ("mqtt://no-such-host.invalid", "no-such-host.invalid:1883 cannot be reached")):
        server.clear()
        server.send_keys(address)
        button(browser, "Test the connection").click()
        browser.wait(lambda words=words: words in browser.text("bl-setup .form + div"), words, 30)
    assert service.json("/api/v1/info")["config"]["mqtt"]["server"] == broker.url, "it was only tried"


def test_raw_registers(service, browser):
    browser.open(url(service, "device/house"))
    browser.find("bl-raw summary").click()
    browser.wait(lambda: "CF_CNT" in browser.text("bl-raw") and "Damaged or missing answers" in browser.text("bl-raw"), "the registers")
    rows = {row.find_element(By.TAG_NAME, "th").text: row.find_elements(By.TAG_NAME, "td") for row in browser.all("bl-raw tbody tr")}
    raw = service.request("device/raw", {"id": "house"})[1]["data"]["channels"]["a"]
    shown = float(rows["V_RMS"][0].text.replace(",", ""))
    assert abs(shown - raw["registers"][0]["value"]) < 0.02 * shown, "the chip's own counts"
    assert service.request("device/raw", {"id": "none"})[0] == 404


def test_a_meter_on_the_broker_appears_by_itself(service, browser, broker):
    """No search is asked for: what a module left on the broker is enough, and one press leads to taking control."""
    for topic, payload in (("shed/connected", "online"), ("shed/voltage/get", "230.1"), ("shed/power/get", "100.5")):
        broker.publish(topic, payload, retain=True)
    browser.open(url(service))
    browser.wait(lambda: "shed" in browser.text("bl-found"), "the banner", 30)
    assert browser.find("bl-found a").get_attribute("href").endswith("#/modules?search=75")
    browser.go("modules?search=6")  # what is retained comes at once
    button(browser, "Take control").click()
    browser.wait(lambda: "Added." in browser.text("bl-modules"), "the answer")
    assert "shed" in [device["id"] for device in service.json("/api/v1/devices")]
    browser.go("overview")
    browser.wait(lambda: len(browser.all("bl-channel")) == 3 and not browser.all("bl-found a"), "the banner to be gone")


def test_backup_is_downloaded_and_restored(folder, service, browser, chips):
    """Backup, change, restore: names and history are as they were, and what was replaced is kept."""
    downloads = folder / "downloads"
    downloads.mkdir()
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads)})
    wait_for(lambda: service.json("/api/v1/history/energy", device="house")[-1]["energy_kwh"], 20, "energy")
    browser.open(url(service, "about"))
    button(browser, "Back up and download").click()
    archive = wait_for(lambda: next(iter(downloads.glob("*.tar")), None), 20, "the download")
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["history.db", "bridge.yaml"]
    before = (folder / "bridge.yaml").read_text()
    energy = service.json("/api/v1/state/house")["energy_a"]
    assert service.request("device/rename", {"from": "house", "to": "Changed"})[0] == 200
    assert (folder / "bridge.yaml").read_text() != before
    browser.find('bl-backup input[type="file"]').send_keys(str(archive))
    button(browser, "Send and check").click()
    browser.wait(lambda: "History of 2 channels" in browser.text("bl-backup") and "House meter" in browser.text("bl-backup"), "what is in it", 30)
    assert service.json("/api/v1/devices")[0]["friendly_name"] == "Changed", "nothing was replaced yet"
    button(browser, "Restore").click()
    browser.find("dialog button.danger").click()
    def name_now():
        with contextlib.suppress(OSError, http.client.HTTPException):  # it ends and begins again
            return service.json("/api/v1/devices")[0]["friendly_name"]

    wait_for(lambda: name_now() == "House meter", 40, "the old name")
    browser.wait(lambda: "The history is restored" in browser.text("bl-backup"), "what came of it", 40)
    assert (folder / "bridge.yaml").read_text() == before
    assert "Changed" in (folder / "bridge.yaml.replaced").read_text() and list((folder / "data").glob("history.db.replaced-*"))
    wait_for(lambda: (service.json("/api/v1/state/house")["energy_a"] or 0) >= energy, 20, "a total that did not fall")


def test_a_damaged_backup_is_refused(folder, service, browser):
    broken = folder / "broken.tar"
    broken.write_bytes(b"no archive" * 1000)
    browser.open(url(service, "about"))
    browser.find('bl-backup input[type="file"]').send_keys(str(broken))
    button(browser, "Send and check").click()
    browser.wait(lambda: "no tar archive" in browser.text("bl-backup .notice.bad"), "the refusal", 20)
    assert service.request("restore", {"history": True})[0] == 409


def test_first_start_without_configuration(folder, spawn, broker, browser, chips):
    """Nothing is there but a meter on an adapter: the page leads from the scan and the broker to readings."""
    port = free_port()
    house.load(chips["a"], 1500)
    process = spawn("run", cwd=folder, env={"BL2MQTT_WEB__LISTEN": f"127.0.0.1:{port}"})
    client = web.Client(port)
    wait_for(client.answers, 20, "the page")
    assert "a first one was written" in process.output
    browser.open(url(client))
    browser.find("bl-overview .empty a").click()
    browser.wait(lambda: browser.all("bl-setup select option"), "the ports")
    button(browser, "List again")  # they are listed now; a pseudo terminal is none of them
    browser.script("const s = document.querySelectorAll('bl-setup select')[1]; s.replaceChildren(new Option(arguments[0], arguments[0]));"
                   "[...document.querySelectorAll('bl-setup button')].find((b) => b.textContent === 'Look for chips').disabled = false;",
                   f"{folder}/usb-a")
    button(browser, "Look for chips").click()
    browser.wait(lambda: "Chips found: 1" in browser.text("bl-setup"), "the chip", 60)
    field(browser, "Name").send_keys("House meter")
    button(browser, "Add").click()
    browser.wait(lambda: "Added." in browser.text("bl-setup"), "the answer")
    server = field(browser, "Server")
    server.clear()
    server.send_keys(broker.url)
    button(browser, "Test the connection").click()
    browser.wait(lambda: "lets this bridge in" in browser.text("bl-setup .form + div"), "the test", 20)
    button(browser, "Save").click()

    def mqtt_connected():
        with contextlib.suppress(OSError, http.client.HTTPException):
            return client.json("/api/v1/health")["mqtt"]["connected"]

    wait_for(mqtt_connected, 30, "the broker")
    written = yaml.safe_load((folder / "bridge.yaml").read_text())
    assert written["mqtt"]["server"] == broker.url and written["devices"][0]["channels"]["a"]["port"] == f"{folder}/usb-a"
    browser.go("overview")
    browser.wait(lambda: len(browser.all("bl-channel")) == 1 and (power_of(browser) or 0) > 100, "a reading", 30)


def test_login(folder, spawn, broker, chips, browser):
    port = free_port()
    path = write_config(folder, broker.url, [house.house(folder)], web={"listen": f"0.0.0.0:{port}", "password": "right horse"})
    spawn("--config", path, "run")
    client = web.Client(port)
    wait_for(client.answers, 20, "the server")
    browser.open(url(client))
    password = browser.find('input[type="password"]')
    password.send_keys("wrong")
    browser.find("bl-login button").click()
    browser.wait(lambda: "wrong" in browser.text("bl-login .notice"), "the refusal")
    password.clear()
    password.send_keys("right horse")
    browser.find("bl-login button").click()
    browser.wait(lambda: len(browser.all("bl-channel")) == 2 and power_of(browser) is not None, "the overview")
    browser.go("about")
    browser.wait(lambda: [b for b in browser.all("button") if b.text == "Log out"], "log out")[0].click()
    browser.find('input[type="password"]')


def test_below_a_path(folder, spawn, broker, chips, browser):
    client, _ = web.start(folder, spawn, broker.url, web={"base_path": "/api/hassio_ingress/abc"})
    browser.open(url(client))
    browser.wait(lambda: len(browser.all("bl-channel")) == 2 and power_of(browser) is not None, "the overview")
    browser.go("history")
    browser.find(".chart-canvas canvas")


def test_connects_again_after_a_restart(folder, spawn, service, browser, chips):
    browser.open(url(service))
    browser.wait(lambda: power_of(browser), "the power")
    service.process.stop()
    browser.wait(lambda: "Connection lost" in browser.text(".connection"), "the loss to be said")
    house.load(chips["a"], 2200)
    spawn("--config", folder / "bridge.yaml", "run")
    browser.wait(lambda: abs((power_of(browser) or 0) - 2200) < 40 and not browser.find(".connection").is_displayed(),
                 "the new power", 40)
