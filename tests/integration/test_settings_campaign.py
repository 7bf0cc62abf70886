# SPDX-License-Identifier: MIT
"""The running service reconfigured while it measures: a short run of tests/campaign, with each kind of change once."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))

from settings_campaign import Campaign  # noqa: E402


def test_untouched_devices_lose_no_reading(folder, seed):
    campaign = Campaign(folder, seed)
    try:
        campaign.run(len(Campaign.WEIGHTS))
        campaign.finish(judge=False)
    finally:
        campaign.close()
