"""The rules of docs/architecture.md, kept by a machine."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("app", "jobs", "integrations", "migrations", "wsgi")

# From the top down: a layer may import those below it, and itself.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("wsgi", "app.cli"),
    ("app.factory", "jobs"),
    ("app.api", "app.web"),
    ("app.http", "app.auth"),
    ("app.services",),
    ("app.queries",),
    ("app.models", "app.schemas"),
    ("app.db", "app.errors", "app.config", "app.migrate"),
    ("app.domain",),
)
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "app.domain": ("flask", "sqlalchemy", "marshmallow", "requests", "os", "logging", "time"),
    "app.api": ("sqlalchemy", "app.models"),
    "app.web": ("sqlalchemy", "app.models"),
    "app.services": ("flask",),
    "app.queries": ("flask", "marshmallow"),
    "jobs": ("flask",),
    "integrations": ("app.models", "app.services", "app.queries", "app.schemas", "app.db", "flask", "sqlalchemy"),
}
LIFELINES_IN = {"app.domain.kaplan_meier", "jobs.challengers"}
# What can open a connection, or listen for one. The way out is the guarded client; a new client goes through it.
NETWORK = (
    *("socket", "ssl", "_socket", "_ssl", "socketserver", "asyncio", "selectors", "select"),
    *("http.client", "http.server", "urllib.request", "xmlrpc", "ftplib", "smtplib", "poplib", "imaplib", "telnetlib"),
    *("requests", "urllib3", "httpx", "aiohttp", "websockets", "webbrowser"),
)
IMPORTING = {"__import__", "import_module"}
NETWORK_IN = {
    "integrations.http_client": ("http.client", "socket", "ssl"),
    "integrations.targets": ("socket",),  # the one look-up
    "integrations.crm.transport": ("requests", "ssl", "urllib3"),  # to the CRM's origin, at an address that was checked
    "integrations.webhooks.receiver": ("http.server",),  # listens on loopback
    "app.cli.serving": ("socket",),  # whether the port is free
}
# The same layer, side by side: neither imports the other.
APART = (("app.api", "app.web"), ("app.models", "app.schemas"))


def modules() -> Iterator[tuple[str, Path]]:
    for top in OURS:
        for path in [ROOT / f"{top}.py"] if (ROOT / f"{top}.py").exists() else sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path


MODULES = dict(modules())


def imports_of(name: str) -> set[str]:
    """Every module that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            base = node.module
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names}
    return found


IMPORTS = {name: imports_of(name) for name in MODULES}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def layer_of(name: str) -> int | None:
    return next((i for i, layer in enumerate(LAYERS) if any(within(name, package) for package in layer)), None)


@pytest.mark.parametrize("name", MODULES)
def test_arrows_run_down_only(name: str) -> None:
    own = layer_of(name)
    for imported in IMPORTS[name]:
        below = layer_of(imported)
        if own is not None and below is not None:
            assert below >= own, f"{name} imports {imported}, which lies above it"
        for one, other in APART:
            assert not (within(name, one) and within(imported, other)), f"{name} imports {imported}"
            assert not (within(name, other) and within(imported, one)), f"{name} imports {imported}"


@pytest.mark.parametrize("name", MODULES)
def test_a_layer_stays_clear_of_what_it_must_not_know(name: str) -> None:
    for package, forbidden in FORBIDDEN.items():
        if within(name, package):
            for imported in IMPORTS[name]:
                assert not any(within(imported, other) for other in forbidden), f"{name} imports {imported}"


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, "integrations")])
def test_integrations_know_only_money_of_ours(name: str) -> None:
    ours = {other for other in IMPORTS[name] if within(other, "app") or within(other, "jobs")}
    assert ours <= {"app.domain.money"}


@pytest.mark.parametrize("name", MODULES)
def test_lifelines_and_pandas_are_kept_in_their_places(name: str) -> None:
    if name not in LIFELINES_IN:
        assert not any(within(other, "lifelines") or within(other, "pandas") for other in IMPORTS[name])


def names_imported(name: str) -> set[str]:
    """Every module and name that a file imports, also by a call with its name as a text."""
    found = set(IMPORTS[name])
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in IMPORTING:
            found |= {str(each.value) for each in node.args if isinstance(each, ast.Constant)}
    return found


@pytest.mark.parametrize("name", MODULES)
def test_the_guarded_client_is_the_only_way_out(name: str) -> None:
    allowed = NETWORK_IN.get(name, ())
    for other in names_imported(name):
        if any(within(other, module) for module in NETWORK):
            assert any(within(other, module) for module in allowed), f"{name} can reach the network by {other}"


@pytest.mark.parametrize("name", [name for name in MODULES if within(name, "app.domain")])
def test_the_domain_reads_no_clock(name: str) -> None:
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Attribute):
            assert node.attr not in {"now", "today", "utcnow"}, f"{name}:{node.lineno}"


def test_importing_the_web_side_loads_neither_lifelines_nor_pandas() -> None:
    import subprocess

    code = "import sys, app.factory; print([m for m in ('lifelines', 'pandas', 'scipy') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "[]"


def test_no_module_imports_itself_in_a_circle() -> None:
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " > ".join((*trail, name))
        if name in done:
            return
        for imported in IMPORTS[name]:
            if imported in MODULES and imported != name:
                visit(imported, (*trail, name))
        done.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize(
    "path",
    [p for top in ("app", "jobs", "integrations", "tests", "benchmarks") for p in (ROOT / top).rglob("*.py")],
    ids=str,
)
def test_a_file_is_short_and_says_what_it_is_for(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "misc"}, path
    assert path.read_text().count("\n") <= 400, path
