"""First tables"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.create_table('chain_heads',
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('sequence', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('link', sa.LargeBinary(length=32), nullable=False),
    sa.Column('signature', sa.LargeBinary(length=64), nullable=False),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_chain_heads_kiosk_length')),
    sa.CheckConstraint('length(link) <= 32', name=op.f('ck_chain_heads_link_length')),
    sa.CheckConstraint('length(signature) <= 64', name=op.f('ck_chain_heads_signature_length')),
    sa.PrimaryKeyConstraint('kiosk', 'sequence', name=op.f('pk_chain_heads'))
    )
    op.create_table('feeds',
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('epoch', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.CheckConstraint('length(digest) <= 32', name=op.f('ck_feeds_digest_length')),
    sa.CheckConstraint('length(kind) <= 16', name=op.f('ck_feeds_kind_length')),
    sa.CheckConstraint('length(name) <= 32', name=op.f('ck_feeds_name_length')),
    sa.PrimaryKeyConstraint('kind', 'name', name=op.f('pk_feeds'))
    )
    op.create_table('kiosks',
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('site', sa.String(length=32), nullable=False),
    sa.Column('purpose', sa.String(length=32), nullable=False),
    sa.Column('gallery', sa.String(length=32), nullable=False),
    sa.Column('added_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('certificate', sa.LargeBinary(length=1024), nullable=True),
    sa.Column('box_public_key', sa.LargeBinary(length=32), nullable=True),
    sa.Column('software', sa.String(length=64), nullable=True),
    sa.Column('revoked_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(box_public_key) <= 32', name=op.f('ck_kiosks_box_public_key_length')),
    sa.CheckConstraint('length(certificate) <= 1024', name=op.f('ck_kiosks_certificate_length')),
    sa.CheckConstraint('length(gallery) <= 32', name=op.f('ck_kiosks_gallery_length')),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_kiosks_kiosk_length')),
    sa.CheckConstraint('length(purpose) <= 32', name=op.f('ck_kiosks_purpose_length')),
    sa.CheckConstraint('length(site) <= 32', name=op.f('ck_kiosks_site_length')),
    sa.CheckConstraint('length(software) <= 64', name=op.f('ck_kiosks_software_length')),
    sa.PrimaryKeyConstraint('kiosk', name=op.f('pk_kiosks'))
    )
    op.create_table('pairing_codes',
    sa.Column('lookup', sa.LargeBinary(length=32), nullable=False),
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('sealed_code', sa.LargeBinary(length=1024), nullable=False),
    sa.Column('expires_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('used_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_pairing_codes_kiosk_length')),
    sa.CheckConstraint('length(lookup) <= 32', name=op.f('ck_pairing_codes_lookup_length')),
    sa.CheckConstraint('length(sealed_code) <= 1024', name=op.f('ck_pairing_codes_sealed_code_length')),
    sa.PrimaryKeyConstraint('lookup', name=op.f('pk_pairing_codes'))
    )
    op.create_table('records',
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('sequence', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('record_id', sa.String(length=32), nullable=False),
    sa.Column('passage', sa.String(length=32), nullable=False),
    sa.Column('commitment', sa.LargeBinary(length=32), nullable=False),
    sa.Column('link', sa.LargeBinary(length=32), nullable=False),
    sa.Column('salt', sa.LargeBinary(length=16), nullable=True),
    sa.Column('body', sa.LargeBinary(length=4096), nullable=True),
    sa.CheckConstraint('length(body) <= 4096', name=op.f('ck_records_body_length')),
    sa.CheckConstraint('length(commitment) <= 32', name=op.f('ck_records_commitment_length')),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_records_kiosk_length')),
    sa.CheckConstraint('length(link) <= 32', name=op.f('ck_records_link_length')),
    sa.CheckConstraint('length(passage) <= 32', name=op.f('ck_records_passage_length')),
    sa.CheckConstraint('length(record_id) <= 32', name=op.f('ck_records_record_id_length')),
    sa.CheckConstraint('length(salt) <= 16', name=op.f('ck_records_salt_length')),
    sa.PrimaryKeyConstraint('kiosk', 'sequence', name=op.f('pk_records')),
    sa.UniqueConstraint('kiosk', 'record_id', name='uq_records_record_id')
    )
    op.create_index(op.f('ix_records_passage'), 'records', ['passage'], unique=False)
    op.create_table('revisions',
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('revision', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('length(name) <= 32', name=op.f('ck_revisions_name_length')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_revisions'))
    )
    op.create_table('secrets',
    sa.Column('name', sa.String(length=32), nullable=False),
    sa.Column('sealed', sa.LargeBinary(length=1024), nullable=False),
    sa.CheckConstraint('length(name) <= 32', name=op.f('ck_secrets_name_length')),
    sa.CheckConstraint('length(sealed) <= 1024', name=op.f('ck_secrets_sealed_length')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_secrets'))
    )
    op.create_table('sightings',
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('presence', sa.String(length=16), nullable=False),
    sa.Column('boot_id', sa.String(length=32), nullable=False),
    sa.Column('seen_at_ms', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('length(boot_id) <= 32', name=op.f('ck_sightings_boot_id_length')),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_sightings_kiosk_length')),
    sa.CheckConstraint('length(presence) <= 16', name=op.f('ck_sightings_presence_length')),
    sa.PrimaryKeyConstraint('kiosk', name=op.f('pk_sightings'))
    )
    op.create_table('subjects',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('enrolled_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('withdrawn_at_ms', sa.BigInteger(), nullable=True),
    sa.Column('consent_version', sa.String(length=16), nullable=False),
    sa.Column('consent_language', sa.String(length=8), nullable=False),
    sa.Column('consent_at_ms', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('length(consent_language) <= 8', name=op.f('ck_subjects_consent_language_length')),
    sa.CheckConstraint('length(consent_version) <= 16', name=op.f('ck_subjects_consent_version_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_subjects_subject_length')),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_subjects'))
    )
    op.create_table('claims',
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('added_at_ms', sa.BigInteger(), nullable=False),
    sa.Column('revoked_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(digest) <= 32', name=op.f('ck_claims_digest_length')),
    sa.CheckConstraint('length(kind) <= 8', name=op.f('ck_claims_kind_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_claims_subject_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_claims_subject')),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_claims'))
    )
    op.create_index(op.f('ix_claims_subject'), 'claims', ['subject'], unique=False)
    op.create_table('events',
    sa.Column('event_id', sa.String(length=64), nullable=False),
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('purpose', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('outcome', sa.String(length=8), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('incident', sa.String(length=64), nullable=True),
    sa.Column('disputed', sa.Boolean(), nullable=False),
    sa.CheckConstraint('length(event_id) <= 64', name=op.f('ck_events_event_id_length')),
    sa.CheckConstraint('length(incident) <= 64', name=op.f('ck_events_incident_length')),
    sa.CheckConstraint('length(kind) <= 16', name=op.f('ck_events_kind_length')),
    sa.CheckConstraint('length(outcome) <= 8', name=op.f('ck_events_outcome_length')),
    sa.CheckConstraint('length(purpose) <= 32', name=op.f('ck_events_purpose_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_events_subject_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_events_subject')),
    sa.PrimaryKeyConstraint('event_id', name=op.f('pk_events'))
    )
    op.create_index(op.f('ix_events_subject'), 'events', ['subject'], unique=False)
    op.create_table('pins',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('verifier', sa.String(length=256), nullable=False),
    sa.Column('tries_used', sa.Integer(), nullable=False),
    sa.Column('not_before_ms', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_pins_subject_length')),
    sa.CheckConstraint('length(verifier) <= 256', name=op.f('ck_pins_verifier_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_pins_subject')),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_pins'))
    )
    op.create_table('restrictions',
    sa.Column('restriction_id', sa.String(length=32), nullable=False),
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('purpose', sa.String(length=32), nullable=False),
    sa.Column('contest_code', sa.String(length=16), nullable=False),
    sa.Column('body', sa.LargeBinary(length=4096), nullable=False),
    sa.Column('lifted_at_ms', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('length(body) <= 4096', name=op.f('ck_restrictions_body_length')),
    sa.CheckConstraint('length(contest_code) <= 16', name=op.f('ck_restrictions_contest_code_length')),
    sa.CheckConstraint('length(purpose) <= 32', name=op.f('ck_restrictions_purpose_length')),
    sa.CheckConstraint('length(restriction_id) <= 32', name=op.f('ck_restrictions_restriction_id_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_restrictions_subject_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_restrictions_subject')),
    sa.PrimaryKeyConstraint('restriction_id', name=op.f('pk_restrictions')),
    sa.UniqueConstraint('contest_code', name=op.f('uq_restrictions_contest_code'))
    )
    op.create_index(op.f('ix_restrictions_subject'), 'restrictions', ['subject'], unique=False)
    op.create_table('standings',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('purpose', sa.String(length=32), nullable=False),
    sa.Column('body', sa.LargeBinary(length=4096), nullable=False),
    sa.CheckConstraint('length(body) <= 4096', name=op.f('ck_standings_body_length')),
    sa.CheckConstraint('length(purpose) <= 32', name=op.f('ck_standings_purpose_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_standings_subject_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_standings_subject')),
    sa.PrimaryKeyConstraint('subject', 'purpose', name=op.f('pk_standings'))
    )
    op.create_table('templates',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('sealed', sa.LargeBinary(length=4096), nullable=False),
    sa.Column('key_version', sa.BigInteger(), nullable=False),
    sa.Column('recipe_digest', sa.String(length=64), nullable=False),
    sa.Column('images', sa.Integer(), nullable=False),
    sa.CheckConstraint('length(recipe_digest) <= 64', name=op.f('ck_templates_recipe_digest_length')),
    sa.CheckConstraint('length(sealed) <= 4096', name=op.f('ck_templates_sealed_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_templates_subject_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_templates_subject')),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_templates'))
    )


def downgrade() -> None:
    """Go down."""
    op.drop_table('templates')
    op.drop_table('standings')
    op.drop_index(op.f('ix_restrictions_subject'), table_name='restrictions')
    op.drop_table('restrictions')
    op.drop_table('pins')
    op.drop_index(op.f('ix_events_subject'), table_name='events')
    op.drop_table('events')
    op.drop_index(op.f('ix_claims_subject'), table_name='claims')
    op.drop_table('claims')
    op.drop_table('subjects')
    op.drop_table('sightings')
    op.drop_table('secrets')
    op.drop_table('revisions')
    op.drop_index(op.f('ix_records_passage'), table_name='records')
    op.drop_table('records')
    op.drop_table('pairing_codes')
    op.drop_table('kiosks')
    op.drop_table('feeds')
    op.drop_table('chain_heads')
