"""What was said and heard in each call, and its figures."""

import sqlalchemy as sa
from alembic import op

revision = "7"
down_revision = "6"


def upgrade() -> None:
    op.create_table(
        "call_records",
        sa.Column("call_sid", sa.Text, primary_key=True),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("called", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("answered_by", sa.Text, nullable=False),
        sa.Column("test", sa.Boolean, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("ending", sa.Text, nullable=False),
        sa.Column("first_audio_ms", sa.Integer),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("interruptions", sa.Integer, nullable=False),
        sa.Column("sessions", sa.Integer, nullable=False),
        sa.Column("answer_p50_ms", sa.Integer),
        sa.Column("answer_max_ms", sa.Integer),
        sa.Column("silence_ms", sa.Integer),
        sa.Column("usd", sa.Double, nullable=False),
        sa.Column("tokens", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("voice", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("consent", sa.Text, nullable=False),
        sa.Column("recording", sa.Text, nullable=False),
        sa.Column("levels", sa.LargeBinary),
        sa.Column("reported", sa.Boolean, nullable=False),
    )
    op.create_index("call_records_started", "call_records", ["started_at", "call_sid"])
    for column in ("caller", "agent", "ending"):
        op.create_index(f"call_records_{column}", "call_records", [column, "started_at"])
    op.create_table(
        "call_turns",
        sa.Column("call_sid", sa.Text, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("position", sa.Double, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("heard", sa.Integer),
        sa.Column("heard_ms", sa.Integer),
        sa.Column("sent_ms", sa.Integer),
        sa.Column("first_ms", sa.Integer),
        sa.Column("answer_ms", sa.Integer),
        sa.Column("silence_ms", sa.Integer),
        sa.Column("data", sa.Text, nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("What was promised to callers is not thrown away.")
