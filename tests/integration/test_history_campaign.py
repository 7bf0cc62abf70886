# SPDX-License-Identifier: MIT
"""Short runs of tests/campaign/history_campaign.py: kills at random moments; full, read-only and damaged disks."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))

from history_campaign import Campaign  # noqa: E402


def test_kills(folder, seed):
    campaign = Campaign(folder, seed)
    try:
        campaign.kills(int(os.environ.get("TEST_KILLS", "6")))
    finally:
        campaign.close()


def test_bad_disks(folder, seed):
    campaign = Campaign(folder, seed)
    try:
        campaign.disk(int(os.environ.get("TEST_DISK_ROUNDS", "2")))
    finally:
        campaign.close()
