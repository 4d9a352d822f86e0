"""Plays on Tryton what it is told on its standard input, a line of JSON each: `driver.py URL PASSWORD_FILE`.

Run in Tryton's own environment: it is a client by XML-RPC and works as its users do, by records and their buttons. An
answer is a line of JSON, too: {"result": ...} or {"error": ...}.
"""

import json
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from proteus import Model, Wizard, config

UNIT_OF_TERM = {1: "Month", 3: "Quarter", 6: "6 months", 12: "Year", 24: "2 years", 36: "3 years"}
UNTIL_NOTICE = {1: "Month"}
MARKS = {
    "note": ("ir.note", "message"),
    "task": ("ir.note", "message"),
    "opportunity": ("sale.opportunity", "reference"),
}
Told = dict[str, Any]


class Driver:
    """Ids are Tryton's own, as texts."""

    def __init__(self) -> None:
        self._company = Model.get("company.company").find([])[0].id
        self._employee = Model.get("company.employee").find([])[0].id
        self._category = Model.get("product.category").find([("accounting", "=", True)])[0]
        self._units = {unit.name: unit for unit in Model.get("product.uom").find([])}
        self._currencies = {each.code: each.id for each in Model.get("currency.currency").find([])}
        self._fitted: set[int] = set()  # products whose units are of the kind that they are sold by

    def begin_again(self) -> None:
        """The database was taken back: what is known of it is no longer so."""
        self._fitted.clear()

    def create_owner(self, name: str) -> str:
        party = self._create("party.party", {"name": name})
        return str(self._create("company.employee", {"party": party, "company": self._company}))

    def create_company(self, name: str) -> str:
        return str(self._create("party.party", {"name": name, "addresses": [["create", [{}]]]}))

    def create_contact(self, company: str, name: str, email: str) -> str:
        values = {"party": int(company), "type": "email", "value": email, "name": name}
        return str(self._create("party.contact_mechanism", values))

    def create_product(self, name: str, sku: str) -> str:
        """One of each code: Tryton has no two."""
        if known := Model.get("product.product").find([("code", "=", sku)]):
            return str(known[0].id)
        template = Model.get("product.template")(name=name, type="service", salable=True, list_price=Decimal(100))
        template.default_uom = template.sale_uom = self._units["Month"]
        template.account_category = self._category
        template.products[0].suffix_code = sku
        template.save()
        return str(template.products[0].id)

    def create_deals(self, told: Sequence[Told]) -> list[str]:
        """All of one stage, which is that of the first; what they come to at last is done in one transaction."""
        opportunities = self._call("sale.opportunity", "create", [self._opportunity(each) for each in told])
        self._close(opportunities, told)
        return [str(id_) for id_ in opportunities]

    def edit_deal(self, deal: str, told: Told) -> None:
        """As a seller does: what is closed is made a draft again, changed, and closed again."""
        opportunity = Model.get("sale.opportunity")(int(deal))
        self._open_again(opportunity)
        if not opportunity.sales:
            self._rewrite(opportunity, told)
            self._close([opportunity.id], [told])
            return
        sale = opportunity.sales[0]
        self._restate(sale, told)
        self._call("sale.sale", "quote", [sale.id])
        if told["stage"] != "open":
            self._call("sale.sale", "confirm" if told["stage"] == "won" else "cancel", [sale.id])

    def delete_deal(self, deal: str) -> None:
        """Only what was called off may be deleted, and no sale may be left."""
        opportunity = Model.get("sale.opportunity")(int(deal))
        self._open_again(opportunity)
        sales = [sale.id for sale in opportunity.sales]
        if sales:
            self._call("sale.sale", "quote", sales)
            self._call("sale.sale", "cancel", sales)
            self._call("sale.sale", "delete", sales)
            self._call("sale.opportunity", "lead", [opportunity.id])
        self._call("sale.opportunity", "cancel", [opportunity.id])
        self._call("sale.opportunity", "delete", [opportunity.id])

    def merge_companies(self, kept: str, other: str) -> str:
        """Other words for one party are asked about; the answer is yes."""
        user = Model.get("res.user").find([("login", "=", "admin")])[0].id
        self._create("res.user.warning", {"user": user, "name": f"party.replace name {other} {kept}", "always": True})
        party = Model.get("party.party")
        wizard = Wizard("party.replace", models=[party(int(other))])
        wizard.form.source, wizard.form.destination = party(int(other)), party(int(kept))
        wizard.execute("replace")
        return kept

    def count_written(self, kind: str) -> int:
        model, field = MARKS[kind]
        return len([each for each in Model.get(model).find([]) if f"tenure-{kind}-" in (getattr(each, field) or "")])

    def written_opportunities(self) -> list[str]:
        return [str(each.id) for each in Model.get("sale.opportunity").find([("reference", "like", "tenure-%")])]

    def describe(self, deal: str) -> Told:
        """An opportunity in Tryton's own words."""
        opportunity = Model.get("sale.opportunity")(int(deal))
        return {
            "state": opportunity.state,
            "party": opportunity.party.name,
            "amount": str(opportunity.amount),
            "currency": opportunity.currency.code,
            "lines": [[line.product.code, line.quantity, line.unit.name] for line in opportunity.lines],
        }

    def sums(self) -> dict[str, Any]:
        """What Tryton makes of each won opportunity: its currency, and what its sales come to before tax."""
        found = Model.get("sale.opportunity").find([("state", "=", "won")])
        return {
            str(each.id): [each.sales[0].currency.code, str(sum(sale.untaxed_amount for sale in each.sales))]
            for each in found
        }

    def _opportunity(self, told: Told) -> dict[str, Any]:
        lines = [self._line(line) for line in told["lines"]]
        names = ("product", "quantity", "unit", "description")
        return {
            "party": int(told["company"]),
            "company": self._company,
            "employee": int(told["owner"] or self._employee),
            "currency": self._currencies[told["currency"]],
            "description": told["name"],
            "end_date": date.fromisoformat(told["closed_on"]),
            "comment": "\n".join(text for kind, text in told["promises"] if kind == "note"),
            "lines": [["create", [{name: line[name] for name in names} for line in lines]]] if lines else [],
        }

    def _line(self, told: Told) -> dict[str, Any]:
        """A price for a period and a term of several is entered as one of the term's unit at the term's price."""
        product = int(told["product"])
        months, period = _months(told), told["period_months"]
        name = "Unit" if period is None else UNTIL_NOTICE[period] if months is None else UNIT_OF_TERM[months]
        price = Decimal(told["price"]) * (1 - Decimal(told["discount"] or 0))
        if period is not None and months is not None:
            price = price * months / period
        self._sell_by(product, self._units[name])
        return {
            "product": product,
            "unit": self._units[name].id,
            "quantity": float(told["quantity"]),
            "unit_price": price.quantize(Decimal("0.0001")),
            "description": name,
        }

    def _sell_by(self, id_: int, unit: Any) -> None:
        """A product that was never sold changes to units of the kind."""
        if id_ not in self._fitted:
            template = Model.get("product.product")(id_).template
            if template.default_uom.category != unit.category:
                template.default_uom = template.sale_uom = unit
                template.save()
            self._fitted.add(id_)

    def _close(self, leads: Sequence[int], told: Sequence[Told]) -> None:
        self._call("sale.opportunity", "opportunity", list(leads))
        if told[0]["stage"] == "lost":
            self._call("sale.opportunity", "lost", list(leads))
        elif told[0]["stage"] == "won":
            self._win(leads, told)

    def _rewrite(self, lead: Any, told: Told) -> None:
        values = self._opportunity(told)
        del values["company"]
        old = [["delete", [line.id for line in lead.lines]]] if lead.lines else []
        values["lines"] = [*old, *values["lines"]]
        self._call("sale.opportunity", "write", [lead.id], values)

    def _win(self, opportunities: Sequence[int], told: Sequence[Told]) -> None:
        self._call("sale.opportunity", "convert", list(opportunities))
        found = Model.get("sale.opportunity").find([("id", "in", list(opportunities))], order=[("id", "ASC")])
        sales = [each.sales[0] for each in found]
        for sale, each in zip(sales, told, strict=True):
            self._restate(sale, each)
        ids = [sale.id for sale in sales]
        self._call("sale.sale", "quote", ids)
        self._call("sale.sale", "confirm", ids)

    def _restate(self, sale: Any, told: Told) -> None:
        """A draft says what is told: lines of a product that stays are changed, others come and go."""
        wanted = [{"type": "line", "sequence": number, **self._line(line)} for number, line in enumerate(told["lines"])]
        currency = self._currencies[told["currency"]]
        if sale.currency.id != currency:  # it changes only while there are no lines
            self._call("sale.sale", "write", [sale.id], {"lines": [["delete", [line.id for line in sale.lines]]]})
            self._call("sale.sale", "write", [sale.id], {"currency": currency})
            sale.reload()
        there = {line.product.id: line.id for line in sale.lines}
        kept = [(there.pop(line["product"]), line) for line in wanted if line["product"] in there]
        held = {line["product"] for _, line in kept}
        new = [line for line in wanted if line["product"] not in held]
        starts = [line["starts_on"] for line in told["lines"] if line["starts_on"]]
        changes = [["write", [id_], line] for id_, line in kept]
        changes += [["delete", list(there.values())]] if there else []
        values = {
            "description": told["name"],
            "sale_date": date.fromisoformat(told["closed_on"]),
            "shipping_date": date.fromisoformat(starts[0]) if starts else None,
            "lines": [*changes, *([["create", new]] if new else [])],
        }
        self._call("sale.sale", "write", [sale.id], values)

    def _open_again(self, opportunity: Any) -> None:
        """Its sale a draft, or else itself a lead."""
        for sale in opportunity.sales:
            if sale.state != "draft":
                self._call("sale.sale", "draft", [sale.id])
        if not opportunity.sales and opportunity.state != "lead":
            self._call("sale.opportunity", "lead", [opportunity.id])

    def _create(self, model: str, values: dict[str, Any]) -> int:
        (id_,) = self._call(model, "create", [values])
        return int(id_)

    def _call(self, model: str, method: str, *arguments: Any) -> Any:
        proxy = config.get_config().get_proxy(model)
        return getattr(proxy, method)(*arguments, config.get_config().context)


def _months(told: Told) -> int | None:
    if told["ends_on"] is None:
        return told["term_months"]
    first, last = date.fromisoformat(told["starts_on"]), date.fromisoformat(told["ends_on"])
    return round((last - first).days / 30.44)


def main() -> None:
    url, password_file = sys.argv[1:]
    with config.set_xmlrpc_session(url, "admin", password=Path(password_file).read_text()) as session:
        session._context = Model.get("res.user").get_preferences(True, {})
        driver = Driver()
        print(json.dumps({"result": "ready"}), flush=True)  # noqa: T201  the answer
        for line in sys.stdin:
            asked = json.loads(line)
            try:
                answer = {"result": getattr(driver, asked["do"])(*asked["with"])}
            except Exception as error:  # noqa: BLE001  whoever asked is told
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), flush=True)  # noqa: T201  the answer


if __name__ == "__main__":
    main()
