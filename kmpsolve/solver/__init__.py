"""The only room that knows libsolv: it owns the pool and hands out values."""
