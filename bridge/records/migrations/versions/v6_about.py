"""A delivery is about a kind of thing and its id, and says itself whether its receiver said no."""

import sqlalchemy as sa
from alembic import op

revision = "6"
down_revision = "5"

#: How long a delivery was tried before it was given up (s). A delivery that was dead sooner was refused.
GIVE_UP_S = 3 * 24 * 3600.0


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        # The table is copied. The old one must not stay readable in the file after a caller is erased.
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
    for name, type in (("about_kind", sa.Text), ("about_id", sa.Text), ("refused", sa.Boolean)):
        op.add_column("deliveries", sa.Column(name, type))
    connection.execute(sa.text(
        "UPDATE deliveries SET about_kind = CASE WHEN meeting_id IS NULL THEN 'message' ELSE 'meeting' END, "
        "about_id = COALESCE(meeting_id, message_id, ''), "
        "refused = (state = 'dead' AND next_at < since + :give_up)"), {"give_up": GIVE_UP_S})
    op.drop_index("deliveries_meeting", "deliveries")
    op.drop_index("deliveries_message", "deliveries")
    with op.batch_alter_table("deliveries") as deliveries:
        for name, existing in (("about_kind", sa.Text()), ("about_id", sa.Text()), ("refused", sa.Boolean())):
            deliveries.alter_column(name, existing_type=existing, nullable=False)
        deliveries.drop_column("meeting_id")
        deliveries.drop_column("message_id")
    op.create_index("deliveries_about", "deliveries", ["about_id"])


def downgrade() -> None:
    raise NotImplementedError("What was promised to callers is not thrown away.")
