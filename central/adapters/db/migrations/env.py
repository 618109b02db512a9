"""Alembic's door: migrates over the connection it is given."""

from alembic import context

from central.adapters.db.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
