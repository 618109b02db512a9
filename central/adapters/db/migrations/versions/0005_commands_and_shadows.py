"""Orders given to kiosks, and what is wished and reported of their configuration"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.create_table('orders',
    sa.Column('nonce', sa.LargeBinary(length=16), nullable=False),
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('action', sa.String(length=16), nullable=False),
    sa.Column('staff', sa.String(length=32), nullable=False),
    sa.Column('issued_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('not_after_ms', sa.BigInteger(), nullable=False),
    sa.Column('sent_at_ms', sa.BigInteger(), nullable=True),
    sa.Column('outcome', sa.String(length=48), nullable=True),
    sa.Column('passage', sa.String(length=32), nullable=True),
    sa.Column('answered_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(action) <= 16', name=op.f('ck_orders_action_length')),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_orders_kiosk_length')),
    sa.CheckConstraint('length(nonce) <= 16', name=op.f('ck_orders_nonce_length')),
    sa.CheckConstraint('length(outcome) <= 48', name=op.f('ck_orders_outcome_length')),
    sa.CheckConstraint('length(passage) <= 32', name=op.f('ck_orders_passage_length')),
    sa.CheckConstraint('length(staff) <= 32', name=op.f('ck_orders_staff_length')),
    sa.PrimaryKeyConstraint('nonce', name=op.f('pk_orders'))
    )
    op.create_table('shadows',
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('desired_version', sa.BigInteger(), nullable=False),
    sa.Column('reported_version', sa.BigInteger(), nullable=False),
    sa.Column('reported_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_shadows_kiosk_length')),
    sa.PrimaryKeyConstraint('kiosk', name=op.f('pk_shadows'))
    )
    op.create_table('shadow_settings',
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('part', sa.String(length=8), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('value', sa.String(length=64), nullable=False),
    sa.CheckConstraint('length(key) <= 64', name=op.f('ck_shadow_settings_key_length')),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_shadow_settings_kiosk_length')),
    sa.CheckConstraint('length(part) <= 8', name=op.f('ck_shadow_settings_part_length')),
    sa.CheckConstraint('length(value) <= 64', name=op.f('ck_shadow_settings_value_length')),
    sa.PrimaryKeyConstraint('kiosk', 'part', 'key', name=op.f('pk_shadow_settings'))
    )


def downgrade() -> None:
    """Go down."""
    op.drop_table('shadow_settings')
    op.drop_table('shadows')
    op.drop_table('orders')
