"""Alembic runs this file. The connection and its transaction come from bridge/records/schema.py."""

from alembic import context

from bridge.records.tables import metadata

# SQLite cannot alter a table. In a batch Alembic copies it.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
