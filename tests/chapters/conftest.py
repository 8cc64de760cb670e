"""One browser a file for what is played with, closed before the next: its event loop would disturb
papermill.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from browser import launched


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with launched() as browser:
        yield browser
