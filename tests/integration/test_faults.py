# SPDX-License-Identifier: MIT
"""The running service under every fault at once, at random: a short run of tests/campaign."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))

from service_campaign import Campaign  # noqa: E402


def test_random_faults(folder, seed):
    campaign = Campaign(folder, seed)
    try:
        campaign.run(float(os.environ.get("TEST_CAMPAIGN_SECONDS", "15")))
    finally:
        campaign.close()
