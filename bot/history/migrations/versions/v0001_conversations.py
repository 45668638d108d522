"""People, conversations, exchanges with their turns, verdicts and candidates, and feedback."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables of a conversation history."""
    _people_and_places()
    _exchanges()
    _what_hangs_on_an_exchange()
    _feedback()


def _people_and_places() -> None:
    op.create_table(
        "people",
        sa.Column("id", ID, nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("hash", name="uq_people_hash"),
    )
    op.create_table(
        "conversations",
        sa.Column("id", ID, nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("persona", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
        sa.UniqueConstraint("door", "place", name="uq_conversations_door_place"),
    )


def _exchanges() -> None:
    op.create_table(
        "exchanges",
        sa.Column("id", ID, nullable=False),
        sa.Column("conversation_id", ID, nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("person_id", ID, nullable=False),
        sa.Column("message_id", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("persona", sa.String(), nullable=False),
        sa.Column("seconds", sa.JSON(), nullable=False),
        sa.Column("answered_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_exchanges"),
        sa.UniqueConstraint("conversation_id", "message_id", name="uq_exchanges_conversation_id_message_id"),
        _belongs("exchanges", "conversation_id", "conversations"),
        _belongs("exchanges", "person_id", "people"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_exchanges_answered_at", "exchanges", ["answered_at"])
    op.create_index("ix_exchanges_person_id", "exchanges", ["person_id"])
    op.create_index("ix_exchanges_conversation_id_episode_id", "exchanges", ["conversation_id", "episode", "id"])


def _what_hangs_on_an_exchange() -> None:
    op.create_table(
        "turns",
        sa.Column("id", ID, nullable=False),
        sa.Column("exchange_id", ID, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("speaker", sa.String(), nullable=True),
        sa.Column("said_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.UniqueConstraint("exchange_id", "role", name="uq_turns_exchange_id_role"),
        _belongs("turns", "exchange_id", "exchanges"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "verdicts",
        sa.Column("turn_id", ID, nullable=False),
        sa.Column("action", sa.Integer(), nullable=False),
        sa.Column("category", sa.String(), nullable=True),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("detector", sa.String(), nullable=True),
        sa.Column("spans", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("turn_id", name="pk_verdicts"),
        _belongs("verdicts", "turn_id", "turns"),
    )
    op.create_table(
        "candidates",
        sa.Column("exchange_id", ID, nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("log_prob", sa.Double(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("finished", sa.Boolean(), nullable=False),
        sa.Column("features", sa.JSON(), nullable=False),
        sa.Column("dropped_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("exchange_id", "rank", name="pk_candidates"),
        _belongs("candidates", "exchange_id", "exchanges"),
    )


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", ID, nullable=False),
        sa.Column("turn_id", ID, nullable=False),
        sa.Column("person_id", ID, nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("form", sa.String(), nullable=False),
        sa.Column("given_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.UniqueConstraint("turn_id", "person_id", "label", name="uq_feedback_turn_id_person_id_label"),
        _belongs("feedback", "turn_id", "turns"),
        _belongs("feedback", "person_id", "people"),
    )
    op.create_index("ix_feedback_person_id", "feedback", ["person_id"])


def _belongs(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=f"fk_{table}_{column}_{to}", ondelete="CASCADE")
