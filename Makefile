# Every target sets up what it needs: `make demo` and `make test` run on a machine that has nothing
# but Python, git and a C++ compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= digits
CPP := $(wildcard native/*.*pp native/tests/*.*pp)
# Processes that share the tests; each file of tests runs in one of them. Their threads must not
# wait by spinning, which would keep those of the others from the processors.
JOBS ?= 2
# A file of versions to hold to, such as tests/lowest-versions.txt; empty: the newest allowed.
CONSTRAINTS ?=

.PHONY: demo test check sanitize browser postgres wheel fix docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo [DATA=mnist]  fit, index, search and score; a table and a picture in demo/"
	@echo "make test               run every test"
	@echo "make check              lint, types, import rules, docstrings, C++ format"
	@echo "make sanitize           the C++ tests under AddressSanitizer and ThreadSanitizer"
	@echo "make wheel              the source archive and its wheel, with and without a compiler"
	@echo "make browser            Chromium, for the tests that open pages (Debian; needs root)"
	@echo "make postgres           PostgreSQL for the tests of pgvector (needs npm)"
	@echo "make fix                repair what the linters can repair"
	@echo "make docs               write the generated parts of the documentation"
.PHONY: help

$(VENV)/.installed: pyproject.toml CMakeLists.txt $(wildcard native/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	HASHLEARN_REQUIRE_ENGINE=1 $(BIN)/python -m pip install --quiet --editable ".[all]" --group dev \
		$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) \
		--config-settings=cmake.define.HASHLEARN_WERROR=$(if $(CI),ON,OFF)
	touch $@

demo: $(VENV)/.installed
	$(BIN)/hashlearn demo --data $(DATA) --output demo

test: $(VENV)/.installed
	OMP_WAIT_POLICY=passive $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/numpydoc lint $$(git ls-files 'src/*.py')
	$(BIN)/clang-format --dry-run --Werror $(CPP)

sanitize: $(VENV)/.installed
	for sanitizer in address,undefined thread; do \
		$(BIN)/cmake -G Ninja -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja -S . \
			-B build/$$sanitizer -DHASHLEARN_SANITIZE=$$sanitizer -DHASHLEARN_WERROR=ON && \
		$(BIN)/cmake --build build/$$sanitizer && build/$$sanitizer/test_scan && \
		build/$$sanitizer/test_counts && build/$$sanitizer/test_multi_index && \
		build/$$sanitizer/test_weighted || exit 1; \
	done

# The tests that open pages are part of `make test`; without Chromium they are skipped.
browser:
	@if command -v chromium >/dev/null; then \
		echo "Chromium is here: make test opens pages in it"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	else \
		echo "install Chromium (Debian: chromium)"; \
	fi

# PostgreSQL with pgvector in a process of Node; without it the tests that ask it are skipped.
postgres:
	@if command -v npm >/dev/null; then \
		cd tests/integrations/pglite && npm ci --legacy-peer-deps --no-audit --no-fund; \
	else \
		echo "install Node.js 20 or newer with npm"; \
	fi

# What a user without a ready wheel gets: the source archive, the wheel made of it with nothing but
# a compiler, and the one made without. Each is installed and searched with.
SEARCH := import sys, numpy, hashlearn; \
	assert hashlearn.__file__.startswith(sys.prefix), hashlearn.__file__; \
	codes = numpy.arange(100, dtype="uint8")[:, None]; index = hashlearn.HammingIndex(8); \
	index.add(codes); assert (index.search(codes, 1).ids[:, 0] == codes[:, 0]).all(); \
	from hashlearn.engine import choose_kernel; print("searched with", choose_kernel())

wheel: $(VENV)/.installed
	rm -rf build/wheel
	HASHLEARN_REQUIRE_ENGINE=1 $(BIN)/python -m build --outdir build/wheel/engine
	CXX=$$(command -v false) $(BIN)/python -m build --outdir build/wheel/numpy
	tar -tzf build/wheel/engine/*.tar.gz | sed 's,[^/]*/,,' > build/wheel/files
	for name in LICENSE README.md CMakeLists.txt native/bindings.cpp src/hashlearn/__init__.py \
		tests/index/test_search.py; do grep -qx $$name build/wheel/files || exit 1; done
	! grep -E '(^|/)\.|__pycache__|\.so$$|^build/|^dist/' build/wheel/files
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/pip install --quiet build/wheel/engine/*.whl pytest hypothesis
	cd build/wheel && venv/bin/python -c "from hashlearn import _native"
	@cd build/wheel && venv/bin/python -c '$(SEARCH)'
	cd build/wheel && venv/bin/python -c \
		"from hashlearn.benchmark.papers import load_paper; assert load_paper('sigah').tables"
	cd build/wheel && venv/bin/python -c "from hashlearn.benchmark.report import page; \
		assert all((page.FOLDER / name).is_file() for name in page.FILES)"
	cd build/wheel && venv/bin/python -c "import hashlearn, pathlib; \
		web = pathlib.Path(hashlearn.__file__).parent / 'web'; \
		assert (web / 'static/page.js').is_file() and (web / 'templates/base.html.j2').is_file()"
	@cd build/wheel && HASHLEARN_KERNEL=numpy venv/bin/python -c '$(SEARCH)'
	build/wheel/venv/bin/python -m pytest -q -p no:cacheprovider tests/index
	build/wheel/venv/bin/pip install --quiet --no-deps --force-reinstall \
		build/wheel/numpy/*-py3-none-any.whl
	@cd build/wheel && venv/bin/python -c '$(SEARCH)' | grep -x "searched with numpy"
	build/wheel/venv/bin/python -m pytest -q -p no:cacheprovider tests/index

fix: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

docs: $(VENV)/.installed
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/search_report.py

clean:
	rm -rf $(VENV) build dist demo
