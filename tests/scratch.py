"""Where tests keep their files: in memory where the machine has room for them, for thousands of databases are made."""

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  only its room is looked at; folders in it are made by tempfile
NEEDED = 2 * 2**30  # bytes: the example companies, and the databases of a few tests at a time


def keep_files_in_memory() -> None:
    """For this process and all that it starts. Whoever has set TMPDIR has chosen for themselves."""
    has_chosen = "TMPDIR" in os.environ
    if not has_chosen and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= NEEDED:
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)
