"""The ledger: members' accounts, charges, transactions and their entries, orders to the payment provider"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go up."""
    op.create_table('charges',
    sa.Column('charge', sa.String(length=32), nullable=False),
    sa.Column('kiosk', sa.String(length=32), nullable=False),
    sa.Column('purpose', sa.String(length=32), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=True),
    sa.Column('merchant', sa.String(length=32), nullable=True),
    sa.Column('checkout', sa.String(length=32), nullable=True),
    sa.Column('reference', sa.String(length=200), nullable=False),
    sa.Column('fare_day', sa.String(length=10), nullable=True),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('source', sa.String(length=16), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('not_after_ms', sa.BigInteger(), nullable=False),
    sa.Column('confirmed', sa.Boolean(), nullable=False),
    sa.Column('postings', sa.Integer(), nullable=False),
    sa.Column('refunded_minor', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('amount_minor >= 0 AND amount_minor <= 100000000', name=op.f('ck_charges_amount_minor_bounds')),
    sa.CheckConstraint('length(account) <= 32', name=op.f('ck_charges_account_length')),
    sa.CheckConstraint('length(charge) <= 32', name=op.f('ck_charges_charge_length')),
    sa.CheckConstraint('length(checkout) <= 32', name=op.f('ck_charges_checkout_length')),
    sa.CheckConstraint('length(currency) <= 3', name=op.f('ck_charges_currency_length')),
    sa.CheckConstraint('length(fare_day) <= 10', name=op.f('ck_charges_fare_day_length')),
    sa.CheckConstraint('length(kiosk) <= 32', name=op.f('ck_charges_kiosk_length')),
    sa.CheckConstraint('length(merchant) <= 32', name=op.f('ck_charges_merchant_length')),
    sa.CheckConstraint('length(purpose) <= 32', name=op.f('ck_charges_purpose_length')),
    sa.CheckConstraint('length(reference) <= 200', name=op.f('ck_charges_reference_length')),
    sa.CheckConstraint('length(source) <= 16', name=op.f('ck_charges_source_length')),
    sa.CheckConstraint('length(state) <= 16', name=op.f('ck_charges_state_length')),
    sa.CheckConstraint('refunded_minor >= 0 AND refunded_minor <= amount_minor', name=op.f('ck_charges_refunded_bounds')),
    sa.PrimaryKeyConstraint('charge', name=op.f('pk_charges'))
    )
    op.create_index('ix_charges_account', 'charges', ['account', 'fare_day'], unique=False)
    op.create_index(op.f('ix_charges_checkout'), 'charges', ['checkout'], unique=False)
    op.create_table('provider_orders',
    sa.Column('provider_order', sa.String(length=64), nullable=False),
    sa.Column('action', sa.String(length=16), nullable=False),
    sa.Column('charge', sa.String(length=32), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('amount_minor >= 0 AND amount_minor <= 100000000', name=op.f('ck_provider_orders_amount_minor_bounds')),
    sa.CheckConstraint('length(account) <= 32', name=op.f('ck_provider_orders_account_length')),
    sa.CheckConstraint('length(action) <= 16', name=op.f('ck_provider_orders_action_length')),
    sa.CheckConstraint('length(charge) <= 32', name=op.f('ck_provider_orders_charge_length')),
    sa.CheckConstraint('length(currency) <= 3', name=op.f('ck_provider_orders_currency_length')),
    sa.CheckConstraint('length(provider_order) <= 64', name=op.f('ck_provider_orders_provider_order_length')),
    sa.CheckConstraint('length(state) <= 16', name=op.f('ck_provider_orders_state_length')),
    sa.PrimaryKeyConstraint('provider_order', name=op.f('pk_provider_orders'))
    )
    op.create_index(op.f('ix_provider_orders_state'), 'provider_orders', ['state'], unique=False)
    op.create_table('transactions',
    sa.Column('posting', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('day', sa.String(length=10), nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=True),
    sa.Column('merchant', sa.String(length=32), nullable=True),
    sa.Column('charge', sa.String(length=32), nullable=True),
    sa.CheckConstraint('length(account) <= 32', name=op.f('ck_transactions_account_length')),
    sa.CheckConstraint('length(charge) <= 32', name=op.f('ck_transactions_charge_length')),
    sa.CheckConstraint('length(currency) <= 3', name=op.f('ck_transactions_currency_length')),
    sa.CheckConstraint('length(day) <= 10', name=op.f('ck_transactions_day_length')),
    sa.CheckConstraint('length(kind) <= 16', name=op.f('ck_transactions_kind_length')),
    sa.CheckConstraint('length(merchant) <= 32', name=op.f('ck_transactions_merchant_length')),
    sa.CheckConstraint('length(posting) <= 64', name=op.f('ck_transactions_posting_length')),
    sa.PrimaryKeyConstraint('posting', name=op.f('pk_transactions'))
    )
    op.create_index(op.f('ix_transactions_account'), 'transactions', ['account'], unique=False)
    op.create_index(op.f('ix_transactions_charge'), 'transactions', ['charge'], unique=False)
    op.create_index(op.f('ix_transactions_day'), 'transactions', ['day'], unique=False)
    op.create_table('entries',
    sa.Column('posting', sa.String(length=64), nullable=False),
    sa.Column('account', sa.String(length=64), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('amount_minor >= -9007199254740991 AND amount_minor <= 9007199254740991', name=op.f('ck_entries_amount_minor_bounds')),
    sa.CheckConstraint('length(account) <= 64', name=op.f('ck_entries_account_length')),
    sa.CheckConstraint('length(currency) <= 3', name=op.f('ck_entries_currency_length')),
    sa.CheckConstraint('length(posting) <= 64', name=op.f('ck_entries_posting_length')),
    sa.ForeignKeyConstraint(['posting'], ['transactions.posting'], name=op.f('fk_entries_posting')),
    sa.PrimaryKeyConstraint('posting', 'account', name=op.f('pk_entries'))
    )
    op.create_index('ix_entries_account', 'entries', ['account', 'currency', 'amount_minor'], unique=False)
    op.create_table('member_accounts',
    sa.Column('subject', sa.String(length=32), nullable=False),
    sa.Column('account', sa.String(length=32), nullable=False),
    sa.CheckConstraint('length(account) <= 32', name=op.f('ck_member_accounts_account_length')),
    sa.CheckConstraint('length(subject) <= 32', name=op.f('ck_member_accounts_subject_length')),
    sa.ForeignKeyConstraint(['subject'], ['subjects.subject'], name=op.f('fk_member_accounts_subject')),
    sa.PrimaryKeyConstraint('subject', name=op.f('pk_member_accounts')),
    sa.UniqueConstraint('account', name=op.f('uq_member_accounts_account'))
    )


def downgrade() -> None:
    """Go down."""
    op.drop_table('member_accounts')
    op.drop_index('ix_entries_account', table_name='entries')
    op.drop_table('entries')
    op.drop_index(op.f('ix_transactions_day'), table_name='transactions')
    op.drop_index(op.f('ix_transactions_charge'), table_name='transactions')
    op.drop_index(op.f('ix_transactions_account'), table_name='transactions')
    op.drop_table('transactions')
    op.drop_index(op.f('ix_provider_orders_state'), table_name='provider_orders')
    op.drop_table('provider_orders')
    op.drop_index(op.f('ix_charges_checkout'), table_name='charges')
    op.drop_index('ix_charges_account', table_name='charges')
    op.drop_table('charges')
