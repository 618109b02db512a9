"""Enrolling at kiosks: who may, who was, how members agree, who look alike; what became of a withdrawal"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.add_column('kiosks', sa.Column('enrols', sa.Boolean(), server_default=sa.false(), nullable=False))
    for feed in ('gallery', 'standings'):
        for part in ('epoch', 'version'):
            place = sa.Column(f'{feed}_{part}', sa.BigInteger(), server_default='0', nullable=False)
            op.add_column('sightings', place)
    # Column and check in one statement: SQLite adds no constraint to a table that is there.
    op.execute(
        "ALTER TABLE subjects ADD COLUMN agree_by VARCHAR(8) DEFAULT 'button' NOT NULL "
        f'CONSTRAINT {op.f("ck_subjects_agree_by_length")} CHECK (length(agree_by) <= 8)'
    )
    op.execute(
        'ALTER TABLE subjects ADD COLUMN enrolled_by VARCHAR(32) '
        f'CONSTRAINT {op.f("ck_subjects_enrolled_by_length")} CHECK (length(enrolled_by) <= 32)'
    )
    op.create_table('alike',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('other', sa.String(length=32), nullable=False),
    sa.CheckConstraint('length(other) <= 32', name=op.f('ck_alike_other_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_alike_subject_length')),
    sa.ForeignKeyConstraint(['other'], ['subjects.subject'], name=op.f('fk_alike_other')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_alike_subject')),
    sa.PrimaryKeyConstraint('subject', 'other', name=op.f('pk_alike'))
    )
    op.create_index(op.f('ix_alike_other'), 'alike', ['other'], unique=False)
    op.create_table('withdrawals',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('told_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_withdrawals_subject_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_withdrawals_subject')),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_withdrawals'))
    )
    op.create_index(op.f('ix_withdrawals_told_at_ms'), 'withdrawals', ['told_at_ms'], unique=False)
    op.create_table('withdrawal_places',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('epoch', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('length(kind) <= 16', name=op.f('ck_withdrawal_places_kind_length')),
    sa.CheckConstraint('length(name) <= 32', name=op.f('ck_withdrawal_places_name_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_withdrawal_places_subject_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_withdrawal_places_subject')),
    sa.PrimaryKeyConstraint('subject', 'kind', 'name', name=op.f('pk_withdrawal_places'))
    )


def downgrade() -> None:
    """Go down."""
    op.drop_table('withdrawal_places')
    op.drop_index(op.f('ix_withdrawals_told_at_ms'), table_name='withdrawals')
    op.drop_table('withdrawals')
    op.drop_index(op.f('ix_alike_other'), table_name='alike')
    op.drop_table('alike')
    with op.batch_alter_table('subjects') as subjects:
        for name in ('agree_by', 'enrolled_by'):
            subjects.drop_constraint(f'ck_subjects_{name}_length', type_='check')
            subjects.drop_column(name)
    with op.batch_alter_table('sightings') as sightings:
        for feed in ('gallery', 'standings'):
            for part in ('epoch', 'version'):
                sightings.drop_column(f'{feed}_{part}')
    with op.batch_alter_table('kiosks') as kiosks:
        kiosks.drop_column('enrols')
