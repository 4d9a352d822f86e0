"""`tenure demo-receiver`: what a webhook looks like where it arrives."""

import contextlib
import signal

import click


@click.command("demo-receiver")
@click.option("--secret", envvar="TENURE_WEBHOOK_SECRET", help="The endpoint's secret, whsec_...; else unverified.")
@click.option("--port", default=8787, show_default=True, help="Where to listen, on 127.0.0.1.")
@click.option("--fail", "fail_status", type=click.IntRange(200, 599), help="Answer this status at first.")
@click.option("--times", default=1, show_default=True, help="How many attempts of each message --fail answers.")
def demo_receiver(*, secret: str | None, port: int, fail_status: int | None, times: int) -> None:
    """Show each alert that arrives, and whether its signature is right.

    The receiver is on this machine, which is no public address: the service sends there only if
    TENURE_PRIVATE_TARGETS holds 127.0.0.1, as it does outside production unless it is set otherwise.

    Example: tenure demo-receiver --secret whsec_... --fail 500 --times 2
    """
    from integrations.webhooks.receiver import Behaviour, make_receiver
    from integrations.webhooks.signature import secret_bytes

    try:
        key = secret_bytes(secret) if secret else None
        failures = times if fail_status else 0
        behaviour = Behaviour(key, click.echo, fail_status=fail_status or 500, failures=failures)
        server = make_receiver(port, behaviour)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on port {port}: {error.strerror}. Set another with --port."
        ) from error
    with server:
        for line in _welcome(f"http://127.0.0.1:{server.server_port}/", has_secret=key is not None):
            click.echo(line)
        # A shell starts what runs in its background with this signal ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def _welcome(url: str, *, has_secret: bool) -> list[str]:
    listening = f"Waiting for alerts at {url}   (Ctrl-C ends it)"
    test = "  tenure webhook test 1        # sends a message now; the number is the endpoint's"
    if has_secret:
        return [listening, "In another terminal:", test, ""]
    add = f"  tenure webhook add {url}     # prints a secret: start this again with --secret whsec_..."
    return [listening, "In another terminal:", add, test, ""]
