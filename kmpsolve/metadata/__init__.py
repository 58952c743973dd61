"""Files: repository metadata, RPMs, caches and configuration, read and checked, never judged."""
