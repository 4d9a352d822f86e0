"""build_features against a slow second program: each definition, one account and one landmark at a time."""

import dataclasses
import math
from datetime import timedelta

import numpy as np
import pytest

from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.months import add_months
from tests.domain.awkward_facts import AS_OF, landmarks_before, random_facts


class SlowProgram:
    """The definitions, written out one account and one landmark at a time in plain Python."""

    def __init__(self, facts, landmark):
        self.facts, self.L = facts, landmark
        self.fresh = {}

    def rows(self, kind, day, available):
        table = getattr(self.facts, kind)
        columns = {f.name: getattr(table, f.name).tolist() for f in dataclasses.fields(table)}
        made = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return [r for r in made if r[day] and r[available] and r[day] < self.L and r[available] < self.L]

    def standing(self, rows):
        """Those that no later version had replaced by then."""
        return [r for r in rows if not r["replaced_on"] or r["replaced_on"] >= self.L]

    def table(self):
        lines = [
            r
            for r in self.standing(self.rows("lines", "available_on", "available_on"))
            if r["starts_on"] <= self.L and (not r["stops_on"] or r["stops_on"] > self.L)
        ]
        spells = self.facts.spells
        table = {}
        for i, (account, start, end) in enumerate(
            zip(spells.account.tolist(), spells.started_on.tolist(), spells.ended_on.tolist(), strict=True)
        ):
            mine = [r for r in lines if r["account"] == account]
            if start <= self.L and (not end or end > self.L) and mine:
                table[account] = {"start": start, "number": int(spells.number[i]), "lines": mine}
        for account, row in table.items():
            row["mrr"] = sum(r["mrr"] for r in row["lines"])
            seats = [r["seats"] for r in row["lines"] if not math.isnan(r["seats"])]
            row["seats"] = sum(seats) if seats else None
            row.update(self.usage(account, row), **self.rest(account, row))
        for name in ("usage_level", "usage_mean_3m"):
            for by_seat in (True, False):
                peers = [r for r in table.values() if (r["seats"] is not None) == by_seat and r[name] is not None]
                mean = sum(r[name] for r in peers) / max(len(peers), 1)
                for r in peers:
                    r[name] -= mean
        return table

    def usage(self, account, row):
        empty = dict.fromkeys(
            ["usage_level", "usage_mean_3m", "usage_trend", "seats_used", "breadth", "days_since_use"]
        )
        all_rows = [r for r in self.rows("usage", "day", "available_on") if self.spell_start(r["account"], r["day"])]
        activity = [r for r in all_rows if r["metric"] == 0]
        people = [r for r in all_rows if r["metric"] == 1]
        mine = [r for r in activity if r["account"] == account and r["day"] >= row["start"]]

        def first(rows):
            return max(row["start"], min((r["day"] for r in rows), default=row["start"]))

        start = first(activity)

        def window(months, rows, last, start):
            since = max(add_months(self.L, -months), start)
            return [r for r in rows if r["day"] >= add_months(self.L, -months)], max((last - since).days + 1, 0)

        def last_day(rows):
            last = max((r["day"] for r in rows), default=None)
            return last if last and (self.L - last).days <= 7 else None

        last, result = last_day(activity), dict(empty)
        seats = row["seats"] or 1
        if last and last >= start:
            month, month_days = window(1, mine, last, start)
            quarter, quarter_days = window(3, mine, last, start)
            seven, seven_days = window(7, mine, last, start)
            if month_days >= 7:
                rate = sum(r["amount"] for r in month) * 365.25 / 12 / month_days
                rate_3m = sum(r["amount"] for r in quarter) * 365.25 / 12 / quarter_days
                result["usage_level"] = math.log1p(rate / seats)
                result["usage_mean_3m"] = math.log1p(rate_3m / seats)
                if seven_days - month_days >= 28:
                    before = sum(r["amount"] for r in seven) - sum(r["amount"] for r in month)
                    rate_before = before * 365.25 / 12 / (seven_days - month_days)
                    result["usage_trend"] = math.log1p(rate) - math.log1p(rate_before)
                used = max((r["day"] for r in mine if r["amount"] > 0), default=start - timedelta(1))
                result["days_since_use"] = min((last - max(used, start - timedelta(1))).days, 30)
                named = {r["feature"] for r in activity if r["feature"] >= 0 and r["amount"] > 0}
                if named:
                    own = {r["feature"] for r in month if r["feature"] >= 0 and r["amount"] > 0}
                    result["breadth"] = len(own) / len(named)
        last = last_day(people)
        if last and row["seats"]:
            month, month_days = window(1, [r for r in people if r["account"] == account], last, first(people))
            if month_days >= 7:
                peak = max((r["amount"] for r in month if r["day"] >= row["start"]), default=0)
                result["seats_used"] = peak / row["seats"]
        return result

    def spell_start(self, account, day):
        spells = zip(self.facts.spells.account.tolist(), self.facts.spells.started_on.tolist(), strict=True)
        return max((start for owner, start in spells if owner == account and start <= day), default=None)

    def rest(self, account, row):
        result = dict.fromkeys([s.name for s in feature_specs(self.facts)][6:])
        result |= {"log_mrr": math.log1p(row["mrr"]), "returned": float(row["number"] > 1)}
        year = add_months(self.L, -12)
        return (
            result
            | self.onboarding(account, year)
            | self.support(account, row)
            | self.surveys(account, year)
            | self.contact(account, row)
            | self.trainings(account, row)
            | self.invoices(account)
            | self.levels(account)
        )

    def onboarding(self, account, year):
        result = {}
        plan = self.rows("milestones", "available_on", "available_on")
        for r in plan:
            if r["done_on"] and max(r["done_on"], r["done_available_on"]) >= self.L:
                r["done_on"] = None
        heard = max([r["available_on"] for r in plan] + [r["done_on"] for r in plan if r["done_on"]], default=None)
        mine = [r for r in self.standing(plan) if r["account"] == account]
        if heard and (self.L - heard).days <= 90 and mine:
            due = [r for r in mine if year <= r["due_on"] < self.L]
            still_open = [r for r in due if not r["done_on"]]
            late = [r for r in due if not r["done_on"] or r["done_on"] > r["due_on"]]
            result["onboarding_late"] = len(late) / max(len(due), 1)
            result["onboarding_overdue"] = len(still_open) / max(len(due), 1)
        return result

    def support(self, account, row):
        tickets = self.rows("tickets", "opened_on", "available_on")
        since = self.L - timedelta(90)
        in_use = any((self.L - r["opened_on"]).days <= 90 for r in tickets)
        if not in_use or max(since, row["start"]) < min(r["opened_on"] for r in tickets):
            return {}
        recent = [r for r in self.standing(tickets) if r["account"] == account and r["opened_on"] >= since]
        return {"tickets_90d": len(recent), "escalations_90d": sum(r["escalated"] for r in recent)}

    def surveys(self, account, year):
        result = {}
        surveys = self.rows("surveys", "answered_on", "available_on")
        if any((self.L - r["answered_on"]).days <= 180 for r in surveys):
            for name, is_nps in (("nps", True), ("csat", False)):
                answers = [r for r in surveys if r["is_nps"] == is_nps]
                own = [r for r in self.standing(answers) if r["account"] == account and r["answered_on"] >= year]
                if own:
                    last = max(r["answered_on"] for r in own)
                    scores = [r["score"] for r in own if r["answered_on"] == last]
                    result[name] = sum(scores) / len(scores)
                if answers:
                    result[f"{name}_missing"] = float(not own)
        return result

    def contact(self, account, row):
        touches = self.rows("touches", "occurred_on", "available_on")
        if any((self.L - r["occurred_on"]).days <= 90 for r in touches):
            last = max(
                [r["occurred_on"] for r in self.standing(touches) if r["account"] == account], default=row["start"]
            )
            last = max(last, row["start"], min(r["occurred_on"] for r in touches))
            return {"days_since_contact": min((self.L - last).days, 180)}
        return {}

    def trainings(self, account, row):
        held, since = self.rows("trainings", "occurred_on", "available_on"), add_months(self.L, -12)
        in_use = any((self.L - r["occurred_on"]).days <= 180 for r in held)
        if not in_use or max(since, row["start"]) < min(r["occurred_on"] for r in held):
            return {}
        own = [r for r in self.standing(held) if r["account"] == account and r["occurred_on"] >= since]
        return {"trainings_12m": len(own)}

    def invoices(self, account):
        bills = self.rows("invoices", "issued_on", "available_on")
        for r in bills:
            if r["paid_on"] and max(r["paid_on"], r["paid_available_on"]) >= self.L:
                r["paid_on"] = None
        own = [r for r in self.standing(bills) if r["account"] == account]
        last = max([r["issued_on"] for r in bills] + [r["paid_on"] for r in bills if r["paid_on"]], default=None)
        if not last or (self.L - last).days > 45 or not own:
            return {}
        unpaid = [r["due_on"] for r in own if not r["paid_on"] and add_months(self.L, -12) <= r["due_on"] < self.L]
        return {"overdue_days": min((self.L - min(unpaid)).days, 90) if unpaid else 0}

    def levels(self, account):
        result = {}
        versions = self.standing(self.rows("attributes", "available_on", "available_on"))
        versions = [r for r in versions if r["account"] == account]
        versions = [r for r in versions if r["valid_from"] <= self.L]
        if versions:
            key = ("valid_from", "available_on", "segment", "channel")
            held = max(versions, key=lambda r: tuple(r[k] for k in key))
            for kind, levels in (("segment", self.facts.segments), ("channel", self.facts.channels)):
                for i, level in enumerate(levels):
                    result[f"{kind}: {level}"] = float(held[kind] == i) if held[kind] >= 0 else None
        return result


@pytest.mark.parametrize("as_of", AS_OF)
@pytest.mark.parametrize("seed", range(4))
def test_every_feature_equals_its_definition_written_out_slowly(seed, as_of):
    facts = random_facts(seed, whole_amounts=seed % 2 == 0)
    landmarks = landmarks_before(as_of)
    table = build_features(facts, landmarks)
    rows = 0
    for landmark in landmarks:
        expected = SlowProgram(facts, landmark.item()).table()
        at = table.landmark == landmark
        assert table.account[at].tolist() == sorted(expected)
        for account, values, mrr in zip(table.account[at], table.values[at], table.mrr[at], strict=True):
            row, rows = expected[account], rows + 1
            wanted = [np.nan if row[name] is None else row[name] for name in table.names]
            np.testing.assert_allclose(values, wanted, rtol=1e-9, atol=1e-9, err_msg=f"{account} {landmark}")
            assert mrr == pytest.approx(row["mrr"])
    assert rows > 15
