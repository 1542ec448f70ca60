"""The cost of the model, by day."""

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("usd", sa.Double, nullable=False),
    )


def downgrade() -> None:
    raise NotImplementedError("What was promised to callers is not thrown away.")
