"""The same database as the stores' tests have."""

from tests.integration.store.conftest import migrated, pool, sql, world

__all__ = ["migrated", "pool", "sql", "world"]
