# SPDX-License-Identifier: MIT
"""What the tests of the `openbeken` commands share: running `provision` against a simulated module, and what
is left of the module afterwards."""

import json

from harness import run
from obk_module import Flash

TWIN_SCRIPT = b"logtype none\nBL0942opts 3\nstartDriver BL0942\n"
OLD_SCRIPT = b"startDriver NTP\nstartDriver BL0942\n"


def provision(module, broker, *args, timeout=60, env=None, wait=15):
    url = broker if isinstance(broker, str) else broker.url
    return run("openbeken", "provision", "--host", module.host, "--mqtt", url, "--id", "utilities/sensor9",
               "--wait", wait, *args, timeout=timeout, env=env)


def set_up(broker, twin=False):
    """The flash of a module that was provisioned before."""
    flash = Flash()
    flash.values.update(host="127.0.0.1", port=broker.port, client="utilities/sensor9", flags=1 << 10 | 1 << 25)
    flash.files["autoexec.bat"] = TWIN_SCRIPT if twin else b"startDriver BL0942\n"
    return flash


def whole(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def snapshot(module):
    """All of the module that a failed run must leave as it was."""
    values = dict(module.values)
    return {key: values[key] for key in ("flags", "host", "port", "client", "user", "startup", "short", "name")}, \
        module.flash.files.get("autoexec.bat")
