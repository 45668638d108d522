"""What doors remember: under which message ids a turn was delivered, and the settings of servers and people."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables of the doors."""
    op.create_table(
        "deliveries",
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("turn_id", ID, nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "message_id", name="pk_deliveries"),
        _belongs("conversation_id", "conversations"),
        _belongs("turn_id", "turns"),
    )
    op.create_index("ix_deliveries_turn_id", "deliveries", ["turn_id"])
    op.create_table(
        "settings",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "name", name="pk_settings"),
    )


def _belongs(column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_deliveries_{column}_{to}", ondelete="CASCADE")
