# SPDX-License-Identifier: MIT
"""A module set up from the page, in headless Chromium, on a simulated one at a pseudo terminal."""

import contextlib
import json
import shutil
import signal

import pytest
import web
from harness import wait_for
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.support.ui import Select

if not shutil.which("chromedriver"):
    pytest.skip("chromedriver is not installed", allow_module_level=True)
from beken_module import Module, write_backup  # noqa: E402
from page import Browser  # noqa: E402
from provisioning import snapshot  # noqa: E402
from provision_bench import PROFILE, bench, image  # noqa: E402,F401


@pytest.fixture
def browser():
    with Browser() as instance:
        yield instance
        complaints = [text for text in instance.complaints() if "status of 4" not in text]
        assert complaints == [], "the console must be silent"


@pytest.fixture
def service(folder, spawn, broker):
    return web.start(folder, spawn, broker.url, devices=[])[0]


def open_flash(browser, service, port):
    browser.open(f"http://127.0.0.1:{service.port}/#/flash")
    # A pseudo terminal is in no list of ports.
    browser.wait(lambda: browser.find("bl-flash select") and "busy" not in (browser.script(
        "return [...document.querySelectorAll('bl-flash [aria-busy]')].map(() => 'busy').join()") or ""), "the ports", 20)
    assert browser.all("bl-flash .notice.bad") == []
    browser.script("const s = document.querySelector('bl-flash select'); s.replaceChildren(new Option(arguments[0], arguments[0]));", str(port))


def press(browser, text):
    def pressed():
        with contextlib.suppress(StaleElementReferenceException):
            for one in browser.all("button"):
                if one.text == text and one.is_enabled():
                    one.click()
                    return True
    browser.wait(pressed, text, 20)


def enter(browser, label, value):
    field = browser.wait(lambda: next((f for f in browser.all("main .field") if f.text.split("\n")[0] == label), None), label)
    node = field.find_element("css selector", "input")
    if node.get_attribute("type") != "file":
        node.clear()
    node.send_keys(str(value))


def fill_in(browser, world, firmware):
    browser.wait(lambda: browser.all(f'bl-flash option[value="{PROFILE}"]'), "the profiles", 20)
    Select(browser.all("bl-flash select")[2]).select_by_value(PROFILE)
    for label, value in (("Firmware file", firmware), ("MQTT client id", "utilities/sensor9"), ("Wi-Fi network", "ExampleNet"),
                         ("Wi-Fi password", "example-pass-1"), ("Broker", "127.0.0.1"), ("Port of the broker", world.broker.port),
                         ("The module's address", f"127.0.0.1:{world.http_port}")):
        enter(browser, label, value)


def job(service):
    return service.json("/api/v1/job")


def ended(service, timeout=90):
    return wait_for(lambda: (lambda j: j and j["state"] != "running" and j)(job(service)), timeout, "the end of the job")


def test_from_the_shop_to_the_overview(folder, service, bench, browser):  # noqa: F811
    """The whole way with a person watching, who closes the page in the middle and comes back."""
    world = bench()
    before = world.module.flash()
    open_flash(browser, service, world.module.port)
    fill_in(browser, world, image(folder))
    press(browser, "Back up and set up")
    wait_for(lambda: (job(service) or {}).get("stage") == "backup", 60, "the backup")
    assert "example-pass" not in json.dumps(job(service))
    browser.open("about:blank")
    wait_for(lambda: job(service)["changing"] or job(service)["state"] != "running", 60, "that it goes on")
    browser.open(f"http://127.0.0.1:{service.port}/#/flash")
    browser.wait(lambda: "Set the module up" in browser.text("bl-job h2"), "the job is shown again")
    assert ended(service)["state"] == "done", job(service)
    browser.wait(lambda: "Channel A measures" in browser.text("bl-job") and "Done." in browser.text("bl-job"), "the first readings", 20)
    assert [d["id"] for d in service.json("/api/v1/devices")] == ["utilities_sensor9"]
    status, headers, body = service.get("/api/v1/files/module-utilities_sensor9.bin")
    assert status == 200 and body == before and "attachment" in headers["content-disposition"]
    assert [name for name in (folder / "data/web/job").iterdir()] == [], "the passwords are gone"
    assert service.request("flash/cancel")[0] == 409
    browser.go("overview")
    browser.wait(lambda: len(browser.all("bl-channel")) == 2, "its channels")


def test_a_wrong_image_is_refused(folder, service, bench, browser):  # noqa: F811
    world = bench()
    before = world.module.flash()
    wrong = folder / "wrong.bin"
    wrong.write_bytes(b"no firmware" * 5000)
    open_flash(browser, service, world.module.port)
    fill_in(browser, world, wrong)
    press(browser, "Back up and set up")
    assert ended(service)["state"] == "failed"
    browser.wait(lambda: "Nothing on the module was changed" in browser.text("bl-job"), "what it leaves")
    assert browser.find("bl-job .notice.bad").text
    assert world.module.flash() == before


def test_cancel_says_what_it_leaves(folder, service, browser):
    module = Module(folder, speed=1, args=("--power-cycle-on-open",))
    try:
        open_flash(browser, service, module.port)
        press(browser, "Back up the module")
        wait_for(lambda: (job(service) or {}).get("stage") == "backup", 60, "the reading")
        browser.wait(lambda: "left" in browser.text("bl-job .hint") and "/s" in browser.text("bl-job .hint"), "speed and remaining time", 30)
        status, answer = service.request("flash/start", {"job": "probe", "port": str(module.port)})
        assert status == 409 and "already" in answer["error"]
        assert service.request("restart")[0] == 409, "the service does not leave the module alone"
        press(browser, "Stop it")
        assert "Nothing on the module has been changed" in browser.text("dialog")
        browser.find("dialog button.danger").click()
        assert ended(service)["state"] == "cancelled"
        browser.wait(lambda: "Nothing on the module was changed" in browser.text("bl-job"), "what it leaves")
        assert not list((folder / "data/web/files").glob("*.bin"))
    finally:
        module.stop()


def test_probe_and_line_test(folder, service, browser):
    module = Module(folder, args=("--power-cycle-on-open",))
    try:
        open_flash(browser, service, module.port)
        press(browser, "Look at the module")
        assert ended(service)["state"] == "done", job(service)
        browser.wait(lambda: "BK7231N" in browser.text("bl-job"), "the chip")
        press(browser, "Test the line")
        browser.wait(lambda: "Test the line" in browser.text("bl-job h2"), "the test")
        assert ended(service)["state"] == "done", job(service)
        browser.wait(lambda: "Recommended baud rate" in browser.text("bl-job"), "the verdict")
    finally:
        module.stop()


def test_only_files_of_the_service_are_firmware(folder, service):
    outside = folder / "outside.bin"
    outside.write_bytes(b"x")
    body = {"job": "provision", "port": "/dev/null", "firmware": str(outside)}
    for name, status in ((str(outside), 409), ("../outside.bin", 409), ("upload", 400), ("nothing", 400)):
        assert service.request("flash/start", {**body, "firmware": name})[0] == status, name


# ---- a module on the network ----

def open_network(browser, service, module, broker):
    browser.open(f"http://127.0.0.1:{service.port}/#/network")
    browser.wait(lambda: browser.all(f'bl-network option[value="{PROFILE}"]'), "the profiles", 20)
    Select(browser.find("bl-network select")).select_by_value(PROFILE)
    for label, value in (("Address of the module", module.host), ("MQTT client id", "utilities/sensor9"), ("Name", "Sensor 9"),
                         ("Broker", "127.0.0.1"), ("Port of the broker", broker.port)):
        enter(browser, label, value)


def test_a_module_on_the_network(folder, service, broker, browser, obk):
    """`openbeken provision` with a person watching, who closes the page in the middle and comes back."""
    module = obk(twin=True, web_password="example-pass-2")
    open_network(browser, service, module, broker)
    enter(browser, "Password of its web page", "example-pass-2")
    press(browser, "Set up")
    wait_for(lambda: job(service), 20, "the job")
    browser.open("about:blank")
    assert ended(service)["state"] == "done", job(service)
    assert "example-pass" not in json.dumps(job(service))
    assert module.flash.values["client"] == "utilities/sensor9" and module.boots == 2
    browser.open(f"http://127.0.0.1:{service.port}/#/network")
    browser.wait(lambda: "Channel B measures" in browser.text("bl-job") and "Done." in browser.text("bl-job"), "the first readings", 20)
    assert "Step: MQTT settings." in browser.text("bl-job .notes")
    assert [(d["id"], d["friendly_name"]) for d in service.json("/api/v1/devices")] == [("utilities_sensor9", "Sensor 9")]
    assert list((folder / "data/web/job").iterdir()) == [], "the passwords are gone"
    browser.go("overview")
    browser.wait(lambda: len(browser.all("bl-channel")) == 2, "its channels")


def test_a_module_on_the_network_is_put_back(service, broker, browser, obk):
    """A step fails, and then a person stops it: both times the module is as it was, and the page says so."""
    module = obk(twin=True)
    before = snapshot(module)
    module.fault("/api/cmnd", "status", 500, body="SetFlag 25 1")
    open_network(browser, service, module, broker)
    press(browser, "Set up")
    assert ended(service)["state"] == "failed"
    browser.wait(lambda: "as they were before" in browser.text("bl-job .notice.bad"), "what it leaves")
    assert snapshot(module) == before
    module.faults.clear()
    module.fault("/cfg_name", "slow", 4, times=1)
    press(browser, "Set up")
    wait_for(lambda: job(service)["state"] == "running" and any("names" in note for note in job(service)["notes"]), 30, "the step that hangs")
    press(browser, "Stop it")
    assert "is put back" in browser.text("dialog")
    browser.find("dialog button.danger").click()
    assert ended(service)["state"] == "cancelled"
    browser.wait(lambda: "Stopped. Script, flags and names are as they were before." in browser.text("bl-job .notice.bad"), "what it leaves")
    assert snapshot(module) == before
    status, answer = service.request("openbeken/provision", {"host": module.host})
    assert status == 400 and "client_id" in answer["error"]


# ---- signals to the service ----

def children(process):
    return [int(pid) for pid in open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()]


def is_alive(pid):
    with contextlib.suppress(OSError):
        return open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1][0] != "Z"
    return False


def test_signals_while_a_module_is_written(folder, spawn, broker, bench):  # noqa: F811
    """SIGHUP leaves a job alone. SIGTERM ends it at the next safe moment, no process and no password stays, and the
    same job goes on where it was after the next start."""
    world = bench(speed=8)
    backup = folder / "data/web/files/module-utilities_sensor9.bin"
    backup.parent.mkdir(parents=True)
    write_backup(backup, world.module.flash(), "BK7231N", "0x1560EB")
    firmware = image(folder / "data")
    body = {"job": "provision", "port": str(world.module.port), "firmware": firmware.name, "profile": PROFILE,
            "client_id": "utilities/sensor9", "wifi_ssid": "ExampleNet", "wifi_password": "example-pass-1", "mqtt_host": "127.0.0.1",
            "mqtt_port": world.broker.port, "module_host": f"127.0.0.1:{world.http_port}"}
    service, process = web.start(folder, spawn, broker.url, devices=[])
    assert service.request("flash/start", body)[0] == 200
    wait_for(lambda: job(service)["changing"], 60, "the writing")
    process.signal(signal.SIGHUP)
    process.wait_line("keys or devices changed", 10)
    (worker,) = children(process)
    assert job(service)["state"] == "running" and is_alive(worker)
    process.stop()
    wait_for(lambda: not is_alive(worker), 30, "the flasher's end")
    assert list((folder / "data/web/job").iterdir()) == [], "the passwords are gone"
    spawn("--config", folder / "bridge.yaml", "run")
    wait_for(service.answers, 20, "the service")
    assert service.request("flash/start", body)[0] == 200
    assert ended(service, 120)["state"] == "done", job(service)
    assert 0 < job(service)["answer"]["write"]["equal"], "sectors that were written before are not written again"
