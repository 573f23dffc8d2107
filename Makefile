# Every target sets up what it needs: `make demo` and `make test` run on a machine that has nothing
# but Python, git and a C++ compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= digits
CPP := $(wildcard native/*.*pp native/tests/*.cpp)
# A file of versions to hold to, such as tests/lowest-versions.txt; empty: the newest allowed.
CONSTRAINTS ?=

.PHONY: demo test check sanitize fix docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo [DATA=mnist]  fit, index, search and score; a table and a picture in demo/"
	@echo "make test               run every test"
	@echo "make check              lint, types, import rules, docstrings, C++ format"
	@echo "make sanitize           the C++ tests under AddressSanitizer and ThreadSanitizer"
	@echo "make fix                repair what the linters can repair"
	@echo "make docs               write the generated parts of the documentation"
.PHONY: help

$(VENV)/.installed: pyproject.toml CMakeLists.txt $(wildcard native/*)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group dev \
		$(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) \
		--config-settings=cmake.define.HASHLEARN_WERROR=$(if $(CI),ON,OFF)
	touch $@

demo: $(VENV)/.installed
	$(BIN)/hashlearn demo --data $(DATA) --output demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest

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
		$(BIN)/cmake --build build/$$sanitizer && build/$$sanitizer/test_scan || exit 1; \
	done

fix: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP)

docs: $(VENV)/.installed
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist demo
