"""A change of the recipe: its plan, templates beside those in use, and what kiosks report of their pack"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.create_table('re_enrolments',
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('pack', sa.String(length=64), nullable=False),
    sa.Column('pack_digest', sa.String(length=64), nullable=False),
    sa.Column('recipe_digest', sa.String(length=64), nullable=False),
    sa.Column('begun_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('switched_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(name) <= 32', name=op.f('ck_re_enrolments_name_length')),
    sa.CheckConstraint('length(pack) <= 64', name=op.f('ck_re_enrolments_pack_length')),
    sa.CheckConstraint('length(pack_digest) <= 64', name=op.f('ck_re_enrolments_pack_digest_length')),
    sa.CheckConstraint('length(recipe_digest) <= 64', name=op.f('ck_re_enrolments_recipe_digest_length')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_re_enrolments'))
    )
    op.create_table('spare_templates',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('sealed', sa.LargeBinary(length=4096), nullable=False),
    sa.Column('key_version', sa.BigInteger(), nullable=False),
    sa.Column('recipe_digest', sa.String(length=64), nullable=False),
    sa.Column('images', sa.Integer(), nullable=False),
    sa.CheckConstraint('length(recipe_digest) <= 64', name=op.f('ck_spare_templates_recipe_digest_length')),
    sa.CheckConstraint('length(sealed) <= 4096', name=op.f('ck_spare_templates_sealed_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_spare_templates_subject')),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_spare_templates'))
    )
    for name in ('pack_digest', 'recipe_digest'):
        # Column and check in one statement: SQLite adds no constraint to a table that is there.
        op.execute(
            f'ALTER TABLE sightings ADD COLUMN {name} VARCHAR(64) '
            f'CONSTRAINT {op.f(f"ck_sightings_{name}_length")} CHECK (length({name}) <= 64)'
        )


def downgrade() -> None:
    """Go down."""
    with op.batch_alter_table('sightings') as sightings:
        for name in ('pack_digest', 'recipe_digest'):
            sightings.drop_constraint(f'ck_sightings_{name}_length', type_='check')
            sightings.drop_column(name)
    op.drop_table('spare_templates')
    op.drop_table('re_enrolments')
