"""Hypothesis profiles of the whole suite: HYPOTHESIS_PROFILE=night looks longer, =ci is the same every time."""

import os

from hypothesis import HealthCheck, settings

_COMMON = {
    "deadline": None,  # the machines that run this are shared; hangs are the business of pytest-timeout
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("default", max_examples=50, stateful_step_count=40, **_COMMON)
settings.register_profile("ci", max_examples=50, stateful_step_count=40, derandomize=True, **_COMMON)
settings.register_profile("night", max_examples=2000, stateful_step_count=100, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
