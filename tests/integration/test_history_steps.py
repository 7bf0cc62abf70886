# SPDX-License-Identifier: MIT
"""A short run of tests/campaign/steps_campaign.py: killed between two steps that replace the history."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))

from steps_campaign import Steps  # noqa: E402


@pytest.mark.parametrize("scenario, stride", [("found", 25), ("running", 25), ("alone", 30), ("restore", 10)])
def test_killed_between_steps(folder, seed, scenario, stride):
    Steps(folder, seed).scenario(scenario, stride, 2 + seed % 3)
