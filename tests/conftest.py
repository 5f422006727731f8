"""Settings of the run: double precision in JAX, hypothesis profiles, known gaps."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from collections.abc import Iterator
from typing import Any

import jax
import pytest
from hypothesis import HealthCheck, settings

import fgrad
from fgrad.lower.numpy import Executable

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


def pytest_addoption(parser: pytest.Parser) -> None:
    """A flag that writes the texts of tests/golden anew."""
    parser.addoption("--regenerate", action="store_true", help="write tests/golden")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``gpu`` run where jax sees one (JAX_PLATFORMS=cuda,cpu)."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and all(device.platform != "gpu" for device in jax.devices()):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="jax sees no GPU"))


@pytest.fixture
def regenerate(request: pytest.FixtureRequest) -> bool:
    """Whether golden texts are written and not compared."""
    return bool(request.config.getoption("--regenerate"))


@pytest.fixture(autouse=True, scope="session")
def check_every_derived_program() -> Iterator[None]:
    """Each program that a transform derives is checked before it first runs."""
    plain = Executable.__init__

    def checked(self: Executable, program: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, fgrad.check(program), *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Executable, "__init__", checked)
        yield


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
