"""A folder into which another system drops its files, and what lies in it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from integrations.files.mapping import SHIPPED, FileMap, ImportMapping, load_mapping
from integrations.files.reader import sha256_of

MAPPING = "mapping.toml"
TABLES = {".csv", ".parquet", ".pq"}


@dataclass(frozen=True, slots=True)
class Dropped:
    """A file as it was when it was looked at; `map` is None where the mapping knows no such file."""

    path: Path
    map: FileMap | None
    sha256: str
    modified_at: datetime

    @property
    def is_part(self) -> bool:
        """Whether it holds deals or lines without the other: such files only count together."""
        nouns = {section.noun for section in self.map.sections} if self.map else set()
        return len(nouns & {"deal", "line"}) == 1


def folders_of(inbox: Path) -> list[Path]:
    return sorted(path for path in inbox.glob("[!.]*") if path.is_dir())


def mapping_of(folder: Path) -> Path:
    """The folder's own mapping, or the one that ships under its name."""
    own, shipped = folder / MAPPING, SHIPPED / f"{folder.name}.toml"
    return shipped if shipped.exists() and not own.exists() else own


def load_mapping_of(folder: Path) -> ImportMapping:
    """Raises MappingError where there is none, or none that can be used."""
    return replace(load_mapping(mapping_of(folder)), title=folder.name)


def modified_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def look(folder: Path, mapping: ImportMapping) -> Iterator[Dropped]:
    """The tables in the folder: what the mapping knows, and CSV and Parquet files that it does not.

    What else lies there is left alone, and so is what begins with a dot: many programs write to such
    a name first. A link is left alone, too: whoever may write here could have any file of the machine read.
    """
    for path in sorted(folder.glob("[!.]*")):
        file_map = next((each for each in mapping.files if fnmatch(path.name, each.name)), None)
        is_table = path.name != MAPPING and (file_map is not None or path.suffix.lower() in TABLES)
        if is_table and path.is_file() and not path.is_symlink():
            yield Dropped(path, file_map, digest_of(path), modified_at(path))


def digest_of(path: Path) -> str:
    """The SHA-256 of its content, read again only where its size or time has changed."""
    stat = path.stat()
    return _digest(path, (stat.st_size, stat.st_mtime_ns, stat.st_ino))


@lru_cache(maxsize=10_000)
def _digest(path: Path, _state: tuple[int, int, int]) -> str:
    return sha256_of(path)
