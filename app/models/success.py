"""The work of customer success: tickets, survey answers, touches, trainings, onboarding."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Recorded, Version, current_version_index


class AccountFact(Version):
    """Something that happened with an account on a day, by the source's own id."""

    system: Mapped[str] = mapped_column(String(100))
    external_id: Mapped[str] = mapped_column(String(200))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    occurred_on: Mapped[date]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))  # the contact
    text_id: Mapped[int | None] = mapped_column(ForeignKey("texts.id"))


class Ticket(AccountFact, Base):
    """`occurred_on` is the day it was opened."""

    __tablename__ = "tickets"

    closed_on: Mapped[date | None]
    priority: Mapped[str | None] = mapped_column(String(30))
    is_escalated: Mapped[bool] = mapped_column(default=False)
    satisfaction: Mapped[float | None]

    __table_args__ = (current_version_index("uq_tickets_current", "system", "external_id"),)


class SurveyAnswer(AccountFact, Base):
    __tablename__ = "survey_answers"

    kind: Mapped[str] = mapped_column(String(10))  # nps (0 to 10), csat (1 to 5)
    score: Mapped[float]

    __table_args__ = (current_version_index("uq_survey_answers_current", "system", "external_id"),)


class Touch(AccountFact, Base):
    """A conversation of ours with the account."""

    __tablename__ = "touches"

    kind: Mapped[str] = mapped_column(String(30))  # call, meeting, mail, review
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))

    __table_args__ = (current_version_index("uq_touches_current", "system", "external_id"),)


class Training(AccountFact, Base):
    """A product training that people of the account attended."""

    __tablename__ = "trainings"

    topic: Mapped[str] = mapped_column(String(200))
    feature: Mapped[str | None] = mapped_column(String(200))  # the product feature it taught, as usage names it
    attendees: Mapped[int] = mapped_column(default=1)

    __table_args__ = (current_version_index("uq_trainings_current", "system", "external_id"),)


class OnboardingPlan(Recorded, Base):
    __tablename__ = "onboarding_plans"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    deal_id: Mapped[int | None] = mapped_column(ForeignKey("deals.id"), unique=True)
    template: Mapped[str] = mapped_column(String(200))
    started_on: Mapped[date]


class Milestone(Version, Base):
    """A step of a plan. `available_at` says since when the step was planned, `done_available_at` known done."""

    __tablename__ = "milestones"

    plan_id: Mapped[int] = mapped_column(ForeignKey("onboarding_plans.id"), index=True)
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    due_on: Mapped[date]
    done_on: Mapped[date | None]
    done_available_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (current_version_index("uq_milestones_current", "plan_id", "position"),)


class OnboardingTemplate(Recorded, Base):
    """Which steps a new account goes through, by product family and segment (none: any)."""

    __tablename__ = "onboarding_templates"

    name: Mapped[str] = mapped_column(String(200), unique=True)
    product_family: Mapped[str | None] = mapped_column(String(200))
    segment: Mapped[str | None] = mapped_column(String(100))


class TemplateMilestone(Recorded, Base):
    __tablename__ = "template_milestones"

    template_id: Mapped[int] = mapped_column(ForeignKey("onboarding_templates.id"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(String(200))
    due_days: Mapped[int]  # after the contract's start

    __table_args__ = (UniqueConstraint("template_id", "position", name="uq_template_milestones_position"),)
