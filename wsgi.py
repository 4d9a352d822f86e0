"""The server's door: `gunicorn wsgi:app`."""

import gc

from app.config import Settings
from app.factory import create_app

app = create_app(Settings.from_env())

# What was loaded stays, and need not be looked through for garbage again and again: half of a short request's time.
gc.collect()
gc.freeze()
gc.set_threshold(10_000, 20, 20)
