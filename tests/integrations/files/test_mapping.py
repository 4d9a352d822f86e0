"""A mapping is refused with the place of the mistake and the remedy, or it is right."""

from datetime import date
from pathlib import Path

import pytest

from integrations.files.mapping import SHIPPED, MappingError, load_mapping

SMALL = """
system = "crm"
currency = "USD"
[backfill]
lag_days = 2
[[files]]
name = "accounts-*.csv"
null = ["-"]
[files.account]
id = "Id"
name = { column = "Name", map = { Acme = "ACME" } }
[files.account.custom]
tier = { column = "Tier", type = "number" }
"""


def load(tmp_path: Path, text: str):
    path = tmp_path / "small.toml"
    path.write_text(text, encoding="utf-8")
    return load_mapping(path)


def test_what_a_mapping_says_is_read(tmp_path):
    mapping = load(tmp_path, SMALL)
    assert (mapping.title, mapping.system, mapping.kind) == ("small", "crm", "crm")
    assert (mapping.currency, mapping.lag_days) == ("USD", 2)
    (file,) = mapping.files
    assert (file.name, file.null) == ("accounts-*.csv", {"", "-"})
    (account,) = file.sections
    assert account.fields["name"].columns == ("Name",)
    assert account.fields["name"].map == {"Acme": "ACME"}
    assert account.custom_types == {"tier": "number"}
    assert account.columns == {"Id", "Name", "Tier"}


def test_without_a_backfill_facts_are_known_when_they_are_recorded(tmp_path):
    assert load(tmp_path, SMALL.replace("[backfill]\nlag_days = 2", "")).lag_days is None
    assert load(tmp_path, SMALL.replace("lag_days = 2", "")).lag_days == 0


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.toml")))
def test_each_ready_mapping_is_found_by_its_name(name):
    assert load_mapping(Path(name)).title == name


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("system =", "sistem =", r"small\.toml: sistem: there is no such key; did you mean 'system'\?"),
        ('system = "crm"', "", r"system: must be a text"),
        ('"USD"', '"DOLLAR"', r"currency: 'DOLLAR' is not a currency; use an ISO 4217 code"),
        ("name = { column", "nmae = { column", r"files\[1\]\.account\.nmae: .* did you mean 'name'\?"),
        ("[files.account]", "[files.acount]", r"files\[1\]\.acount: there is no such key; did you mean 'account'\?"),
        ('column = "Name"', 'colum = "Name"', r"files\[1\]\.account\.name\.colum: .* did you mean 'column'\?"),
        ('column = "Name"', 'value = "x", column = "Name"', r"needs one of `column`, `columns` and `value`"),
        ('id = "Id"', "", r"files\[1\]\.account\.id: is needed; name the column it is in"),
        ('id = "Id"', "id = 3", r"files\[1\]\.account\.id: must be the name of a column"),
        ('type = "number"', 'type = "numeric"', r"custom\.tier\.type: 'numeric' is not one of text, number, date"),
        ("lag_days = 2", 'lag_days = "two"', r"backfill\.lag_days: must be a whole number of days"),
        ("lag_days = 2", "lag = 2", r"backfill\.lag: there is no such key; there are: lag_days"),
        ('null = ["-"]', 'null = "-"', r"files\[1\]\.null: must be a list of texts"),
        ('null = ["-"]', 'encoding = "utf-99"', r"files\[1\]\.encoding: 'utf-99' is unknown"),
        ('null = ["-"]', 'delimiter = "::"', r"files\[1\]\.delimiter: must be one character"),
        ('null = ["-"]', 'format = "xls"', r"files\[1\]\.format: 'xls' is not one of csv, parquet"),
        ("[[files]]", "[files]", r"files: name at least one file, as \[\[files\]\]"),
        ('system = "crm"', 'system = "crm"\nas_of = "soon"', r"as_of: must be a date such as 2024-12-31"),
        ('id = "Id"', 'id = "Id"\nid = "x"', r"not valid TOML"),
        *[
            ("[backfill]", f"[company]\n{line}\n[backfill]", rf"company\.{message}")
            for line, message in (
                ('reporting_timezone = "Tokyo"', "reporting_timezone: 'Tokyo' is no time zone"),
                ("fiscal_year_start_month = 13", "fiscal_year_start_month: 13 is not a month"),
                ('reporting_currency = "YEN"', "reporting_currency: 'YEN' is not a currency"),
                ('tracked_from = "2021"', "tracked_from: must be a date"),
                ("grace = 3", "grace: there is no such key"),
            )
        ],
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_remedy(tmp_path, old, new, message):
    assert old in SMALL
    with pytest.raises(MappingError, match=message):
        load(tmp_path, SMALL.replace(old, new))


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 3000,
        "a = " + "9" * 5000,
        SMALL.replace('"Id"', "{ columns = 5 }"),
        SMALL.replace('"Id"', '{ columns = "Id" }'),
        SMALL.replace("null =", 'encoding = "undefined"\nnull ='),
        SMALL.replace("null =", 'encoding = "idna"\nnull ='),
        SMALL.replace("null =", 'encoding = "a\\u0000b"\nnull ='),
        SMALL.replace("[backfill]", "[company]\nreporting_timezone = [1]\n[backfill]"),
    ],
)
def test_what_no_editor_would_write_is_refused_as_a_mistake_too(tmp_path, text):
    with pytest.raises(MappingError, match=r"small\.toml: "):
        load(tmp_path, text)


def test_a_folder_of_the_same_name_does_not_hide_a_ready_mapping(tmp_path, monkeypatch):
    (tmp_path / "telco").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_mapping(Path("telco")).title == "telco"


def test_a_folder_is_no_mapping(tmp_path):
    with pytest.raises(MappingError, match="cannot be read"):
        load_mapping(tmp_path)


def test_a_missing_mapping_is_told_apart_from_a_ready_one(tmp_path):
    with pytest.raises(MappingError, match=r"mavne: no such file, and no ready mapping .* did you mean 'maven'\?"):
        load_mapping(Path("mavne"))
    with pytest.raises(MappingError, match="no such file"):
        load_mapping(tmp_path / "none.toml")


def test_a_line_needs_to_know_its_deal(tmp_path):
    line = '[[files]]\nname = "l.csv"\n[files.line]\nproduct = "P"\namount = "A"\n'
    with pytest.raises(MappingError, match=r"files\[1\]\.line\.deal: is needed"):
        load(tmp_path, 'system = "crm"\n' + line)
    beside = load(tmp_path, 'system = "crm"\n' + line + '[files.deal]\nid = "D"\n')
    deal, own = beside.files[0].sections
    assert own.fields["deal"] == deal.fields["id"]


def test_tenure_in_months_needs_a_day_to_count_back_from(tmp_path):
    text = SMALL + 'valid_from = { column = "T", type = "tenure_months" }\n'
    text = text.replace("[files.account.custom]\n", "").replace('tier = { column = "Tier", type = "number" }\n', "")
    with pytest.raises(MappingError, match="as_of: tenure in months needs a day to count back from"):
        load(tmp_path, text)
    path = tmp_path / "small.toml"
    assert load_mapping(path, as_of=date(2024, 3, 15)).as_of == date(2024, 3, 15)


def test_a_noun_can_be_made_twice_of_one_file(tmp_path):
    usage = 'system = "p"\n[[files]]\nname = "u.csv"\n'
    for metric in ("activity", "active_people"):
        usage += f'[[files.usage]]\nday = "d"\naccount = "a"\namount = "{metric}"\nmetric = {{ value = "{metric}" }}\n'
    assert [part.noun for part in load(tmp_path, usage).files[0].sections] == ["usage", "usage"]
