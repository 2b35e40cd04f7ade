"""Hypothesis profiles of the whole suite, chosen by HYPOTHESIS_PROFILE.

"ci" is the same every time, "quick" does not shrink what it finds, "night" looks longer.
"""

import os

from hypothesis import HealthCheck, Phase, settings

_COMMON = {
    "deadline": None,  # the machines that run this are shared; hangs are the business of pytest-timeout
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("default", max_examples=50, stateful_step_count=40, **_COMMON)
settings.register_profile("ci", max_examples=50, stateful_step_count=40, derandomize=True, **_COMMON)
settings.register_profile("quick", phases=[Phase.explicit, Phase.reuse, Phase.generate], **_COMMON)
settings.register_profile("night", max_examples=2000, stateful_step_count=100, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
