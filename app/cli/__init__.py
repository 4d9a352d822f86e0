"""The `tenure` command. Each command imports what it needs when it runs: `--help` must not wait for lifelines."""

import logging
import os
import sys

import click

from app.cli import (
    access,
    company,
    crm,
    data,
    feeds,
    model,
    period,
    receiver,
    reconcile,
    secrets,
    serving,
    webhooks,
    worker,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Show what is being done.")
def main(*, verbose: bool) -> None:
    """Tenure: customer-success health and lifetime value, from closed deals."""
    # Read when numpy is loaded, which no command has done yet: with more threads sums come in another order from one
    # night to the next, and take longer.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.umask(0o077)  # names, mails and password hashes: what is written is for its owner alone
    logging.basicConfig(
        level=logging.INFO if verbose or not sys.stderr.isatty() else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)


for command in (
    serving.serve,
    serving.demo,
    data.import_,
    data.nightly,
    reconcile.reconcile,
    period.period,
    model.model,
    worker.worker,
    crm.crm,
    crm.sync,
    feeds.feed,
    data.db,
    company.settings,
    access.user,
    access.token,
    webhooks.webhook,
    receiver.demo_receiver,
    secrets.secrets,
    access.audit,
):
    main.add_command(command)
