"""HTTP requests and responses: reading, limits, headers, problem documents."""
