"""What docs/finance-closing.md works out by hand is what the formulas say."""

import re
from pathlib import Path

from app.domain.revenue_retention import (
    gross_revenue_retention,
    logo_retention,
    net_revenue_retention,
    net_revenue_retention_of_movements,
    net_revenue_retention_with_reactivation,
    quick_ratio,
)
from tests.domain.test_revenue_retention import CLOSING, LEFT, MOVED, OPENING

PAGE = (Path(__file__).parent.parent / "docs" / "finance-closing.md").read_text(encoding="utf-8")


def test_the_table_of_the_page_is_what_the_formulas_say() -> None:
    ratios = {
        "nrr@1": net_revenue_retention(OPENING, CLOSING, left=LEFT),
        "nrr_with_reactivation@1": net_revenue_retention_with_reactivation(OPENING, CLOSING),
        "nrr_aggregate@1": net_revenue_retention_of_movements(sum(OPENING.values()), MOVED),
        "grr@1": gross_revenue_retention(OPENING, CLOSING, left=LEFT),
        "logo_retention@1": logo_retention(OPENING, CLOSING),
    }
    said = dict(re.findall(r"^\| `(\w+@1)` \| .* \| ([0-9.]+)(?: %)? \|$", PAGE, re.MULTILINE))
    assert said == {name: f"{100 * ratio.value:.0f}" for name, ratio in ratios.items() if ratio.value is not None} | {
        "quick_ratio@1": f"{quick_ratio(MOVED).value:.2f}"
    }


def test_the_accounts_of_the_page_are_those_of_the_formulas() -> None:
    rows = re.findall(r"^\| ([A-E]) \| (\w+) \| .* \| (\d+) \|$", PAGE, re.MULTILINE)
    assert {number: int(opening) for number, (_, opening, _) in enumerate(rows, 1) if opening.isdigit()} == OPENING
    assert {number: int(closing) for number, (*_, closing) in enumerate(rows, 1)} == CLOSING
