"""The stores on SQL databases: SQLite and PostgreSQL, one schema, one file a question."""
