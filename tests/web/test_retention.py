import re

from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import make_engine, reading
from app.models.scores import RetentionCurve


def test_each_group_shows_its_curve_with_numbers_at_risk(client: FlaskClient, company_url: str) -> None:
    engine = make_engine(company_url)
    with reading(engine) as session:
        curves = {
            row.group: row.curve for row in session.scalars(select(RetentionCurve).filter_by(group_by="channel")).all()
        }
    engine.dispose()
    page = client.get("/retention?by=channel").text
    cards = dict(re.findall(r'<h2 id="group-\d+">([^<]+)</h2>(.*?)</section>', page, re.DOTALL))
    assert set(cards) == set(curves)
    for name, section in cards.items():
        curve = curves[name]
        assert f"{curve['accounts']} accounts" in section
        marks = re.findall(r'<th scope="row" class="number">(\d+)</th><td class="number"><strong>([^<]+)%', section)
        assert marks
        for month, share in marks:
            assert share == f"{100 * curve['retention'][int(month)]:.1f}"


def test_an_unknown_cut_falls_back_to_segments_and_the_unknown_segment_comes_last(client: FlaskClient) -> None:
    page = client.get("/retention?by=nothing").text
    assert re.findall(r'<h2 id="group-\d+">([^<]+)</h2>', page) == ["Enterprise", "Mid-market", "Small", "Unknown"]


def test_before_anybody_churned_there_is_no_interval(client: FlaskClient) -> None:
    page = client.get("/retention").text
    unknown = page.split(">Unknown</h2>")[1]
    assert '<strong>100.0%</strong></td><td class="number soft">–</td>' in unknown
