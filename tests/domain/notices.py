"""Columns of lines and of feature tables that nobody has given notice of."""

from typing import Any

import numpy as np

NAT = np.datetime64("NaT", "D")


def no_notice(n: int) -> dict[str, Any]:
    """Of `n` lines."""
    return {"leaves_on": np.full(n, NAT), "leaves_for": np.full(n, -1)}


def nobody_leaves(n: int, *, months: int = 0) -> dict[str, Any]:
    """Of `n` rows of a feature table."""
    return no_notice(n) | {"kept": np.ones((n, months))}
