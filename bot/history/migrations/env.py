"""What Alembic runs: the migrations, on the connection and in the transaction that ``database.upgrade`` opened.

There is no ini file: the settings are in ``bot.history.database``, so an installed package can upgrade its database.
"""

from alembic import context

from bot.history.database import VERSION_TABLE
from bot.history.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
