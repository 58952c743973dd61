# make bench, make bench-check: see benchmarks/README.md.
.PHONY: bench bench-check bench-accept

# Root's namespaces, zypper, and valgrind for counting instructions.
bench: system-packages $(VENV)/tested
	$(BIN)/python -m benchmarks.run --growth

bench-accept: system-packages $(VENV)/tested
	$(BIN)/python -m benchmarks.run --growth --accept

bench-check: system-packages $(VENV)/tested
	$(BIN)/python -m benchmarks.run --check
