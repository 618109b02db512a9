"""Whose rows of a feed changed, and when"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.create_table('feed_changes',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_feed_changes_subject_length')),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_feed_changes'))
    )
    op.create_index(op.f('ix_feed_changes_revision'), 'feed_changes', ['revision'], unique=False)


def downgrade() -> None:
    """Go down."""
    op.drop_index(op.f('ix_feed_changes_revision'), table_name='feed_changes')
    op.drop_table('feed_changes')
