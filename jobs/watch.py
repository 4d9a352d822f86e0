"""The look at all feeds: who fell silent, who came back."""

from app.services.feeds import Watched, watch_feeds
from jobs.work import Work


def watch_all_feeds(work: Work) -> Watched:
    with work.writing() as session:
        return watch_feeds(session, at=work.clock())
