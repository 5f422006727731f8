"""Settings of the run: double precision in JAX, hypothesis profiles, known gaps."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import pytest
from hypothesis import HealthCheck, settings

jax.config.update("jax_enable_x64", True)

QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile(
    "ci",
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=QUIET,
)
settings.register_profile(
    "slow",
    max_examples=1000,
    deadline=None,
    print_blob=True,
    suppress_health_check=QUIET,
)
settings.load_profile(os.environ.get("FGRAD_HYPOTHESIS_PROFILE", "ci"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the known gaps, so that they are seen, and shrink."""
    gaps = [
        report
        for report in terminalreporter.stats.get("xfailed", [])
        if "known gap" in getattr(report, "wasxfail", "")
    ]
    terminalreporter.section(f"known gaps: {len(gaps)}")
    for report in gaps:
        terminalreporter.line(f"{report.nodeid}: {report.wasxfail}")
