"""Messages that callers left. A delivery is the news of a meeting or of a message."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("call_sid", sa.Text, nullable=False),
        sa.Column("recording_url", sa.Text, nullable=False),
        sa.Column("seconds", sa.Integer, nullable=False),
        sa.Column("recorded_at", sa.Double, nullable=False),
    )
    op.create_index("messages_recorded", "messages", ["recorded_at", "id"])
    # SQLite cannot alter a table like this, so Alembic copies it.
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.alter_column("meeting_id", existing_type=sa.Text, nullable=True)
        deliveries.add_column(sa.Column("message_id", sa.Text, sa.ForeignKey(
            "messages.id", name="deliveries_message_id_fkey")))
    op.create_index("deliveries_message", "deliveries", ["message_id"])


def downgrade() -> None:
    raise NotImplementedError("What was promised to callers is not thrown away.")
