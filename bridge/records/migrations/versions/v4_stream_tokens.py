"""Tokens that streams have shown."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    op.create_table(
        "stream_tokens",
        sa.Column("nonce", sa.Text, primary_key=True),
        sa.Column("taken_by", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("stream_tokens_expires", "stream_tokens", ["expires_at"])


def downgrade() -> None:
    raise NotImplementedError("What was promised to callers is not thrown away.")
