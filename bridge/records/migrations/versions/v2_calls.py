"""Calls: how many there are, and how they ended."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("call_sid", sa.Text, primary_key=True),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("process", sa.Text, nullable=False),
        sa.Column("admitted_at", sa.Double, nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("history", sa.Text, nullable=False),
    )
    op.create_index("calls_lease", "calls", ["lease_until"])
    op.create_index("calls_caller", "calls", ["caller", "admitted_at"])


def downgrade() -> None:
    raise NotImplementedError("What was promised to callers is not thrown away.")
