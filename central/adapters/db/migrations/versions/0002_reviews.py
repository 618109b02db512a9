"""Reviewers, disputed events and contested restrictions; when a batch of records came"""

from __future__ import annotations

import time

import msgspec
import sqlalchemy as sa
from alembic import op

from wire.signing import key_id_of
from wire.values import Restriction

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.create_table('reviewers',
    sa.Column('key_id', sa.String(length=32), nullable=False),
    sa.Column('reviewer', sa.String(length=32), nullable=False),
    sa.Column('certificate', sa.LargeBinary(length=1024), nullable=False),
    sa.Column('added_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('revoked_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(certificate) <= 1024', name=op.f('ck_reviewers_certificate_length')),
    sa.CheckConstraint('length(key_id) <= 32', name=op.f('ck_reviewers_key_id_length')),
    sa.CheckConstraint('length(reviewer) <= 32', name=op.f('ck_reviewers_reviewer_length')),
    sa.PrimaryKeyConstraint('key_id', name=op.f('pk_reviewers'))
    )
    op.create_index(op.f('ix_reviewers_reviewer'), 'reviewers', ['reviewer'], unique=False)
    op.create_table('cases',
    sa.Column('matter', sa.String(length=16), nullable=False),
    sa.Column('target', sa.String(length=64), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('purpose', sa.String(length=32), nullable=False),
    sa.Column('opened_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('opened_by', sa.String(length=32), nullable=False),
    sa.Column('note', sa.String(length=200), nullable=False),
    sa.Column('settled_at_ms', sa.BigInteger(), nullable=True),
    sa.Column('ruling', sa.LargeBinary(length=4096), nullable=True),
    sa.CheckConstraint('length(matter) <= 16', name=op.f('ck_cases_matter_length')),
    sa.CheckConstraint('length(note) <= 200', name=op.f('ck_cases_note_length')),
    sa.CheckConstraint('length(opened_by) <= 32', name=op.f('ck_cases_opened_by_length')),
    sa.CheckConstraint('length(purpose) <= 32', name=op.f('ck_cases_purpose_length')),
    sa.CheckConstraint('length(ruling) <= 4096', name=op.f('ck_cases_ruling_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_cases_subject_length')),
    sa.CheckConstraint('length(target) <= 64', name=op.f('ck_cases_target_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_cases_subject')),
    sa.PrimaryKeyConstraint('matter', 'target', 'number', name=op.f('pk_cases'))
    )
    op.create_index(op.f('ix_cases_subject'), 'cases', ['subject'], unique=False)
    op.create_table('restriction_tallies',
    sa.Column('purpose', sa.String(length=32), nullable=False),
    sa.Column('reviewer', sa.String(length=32), nullable=False),
    sa.Column('reason', sa.String(length=48), nullable=False),
    sa.Column('month', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('issued', sa.Integer(), nullable=False),
    sa.Column('lowest_tier', sa.Integer(), nullable=False),
    sa.CheckConstraint('length(purpose) <= 32', name=op.f('ck_restriction_tallies_purpose_length')),
    sa.CheckConstraint('length(reason) <= 48', name=op.f('ck_restriction_tallies_reason_length')),
    sa.CheckConstraint('length(reviewer) <= 32', name=op.f('ck_restriction_tallies_reviewer_length')),
    sa.PrimaryKeyConstraint('purpose', 'reviewer', 'reason', 'month', name=op.f('pk_restriction_tallies'))
    )
    op.add_column('events', sa.Column('struck', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column(
        'chain_heads', sa.Column('received_at_ms', sa.BigInteger(), server_default='0', nullable=False)
    )
    now_ms = time.time_ns() // 1_000_000
    # When earlier records came is not known: their retention begins today.
    heads = sa.table('chain_heads', sa.column('received_at_ms', sa.BigInteger()))
    op.execute(heads.update().values(received_at_ms=now_ms))
    _register_reviewers(now_ms)


def _register_reviewers(now_ms: int) -> None:
    """Whoever signed a restriction before reviewers were listed is one, and can be revoked."""
    connection = op.get_bind()
    bodies = connection.execute(sa.text('SELECT body FROM restrictions')).scalars().all()
    certificates = [msgspec.msgpack.decode(bytes(body), type=Restriction).certificate for body in bodies]
    reviewers = sa.table(
        'reviewers',
        sa.column('key_id', sa.String()),
        sa.column('reviewer', sa.String()),
        sa.column('certificate', sa.LargeBinary()),
        sa.column('added_at_ms', sa.BigInteger()),
    )
    rows = {
        key_id_of(certificate.public_key): {
            'key_id': key_id_of(certificate.public_key),
            'reviewer': certificate.name,
            'certificate': msgspec.msgpack.encode(certificate),
            'added_at_ms': now_ms,
        }
        for certificate in certificates
    }
    if rows:
        op.bulk_insert(reviewers, list(rows.values()))


def downgrade() -> None:
    """Go down."""
    op.drop_column('chain_heads', 'received_at_ms')
    op.drop_column('events', 'struck')
    op.drop_table('restriction_tallies')
    op.drop_index(op.f('ix_cases_subject'), table_name='cases')
    op.drop_table('cases')
    op.drop_index(op.f('ix_reviewers_reviewer'), table_name='reviewers')
    op.drop_table('reviewers')
