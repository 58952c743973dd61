# make install, make uninstall: see tools/install, which does both.
PREFIX ?= /usr
# What the dependencies in pyproject.toml are imported as.
IMPORTS := asn1crypto cryptography elftools grandalf jinja2 markupsafe msgspec networkx pydantic solv urllib3 zstandard
PYTHON ?= $(if $(wildcard $(BIN)/python),$(CURDIR)/$(BIN)/python,$(shell tools/find-python))

.PHONY: install uninstall

install:
	@test -n '$(PYTHON)' || { echo 'no Python 3.11 to 3.14 was found; give one: make install PYTHON=...' >&2; exit 1; }
	@'$(PYTHON)' -I -c 'import sys; sys.excepthook = lambda kind, error, trace: print(error, file=sys.stderr); \
	  [__import__(name) for name in sys.argv[1:]]' $(IMPORTS) || { \
	  echo '$(PYTHON) cannot import what kmpsolve needs: $(IMPORTS)' >&2; \
	  echo 'make demo installs them into $(VENV); or name a Python that has them: make install PYTHON=...' >&2; exit 1; }
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' PYTHON="$$(realpath -s "$$(command -v '$(PYTHON)')")" tools/install install

uninstall:
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' tools/install uninstall
