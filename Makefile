# desktune: make demo, make test, make test-slow, make torture, make check, make bench
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml constraints.txt
FLOOR := 92

.PHONY: demo test test-slow torture check bench clean

demo: .venv/base
	$(BIN)/desktune demo

test: .venv/dev
	$(BIN)/python -m pytest -n 2 -m "not slow" --durations=15 --durations-min=1 --max-test-seconds=45

test-slow: .venv/dev
	$(BIN)/python -m pytest -n 2 -m slow --durations=15 --durations-min=1

torture: .venv/dev
	DESKTUNE_TORTURE=whole $(BIN)/python -m pytest -n 2 --dist worksteal tests/torture tests/test_kill.py tests/test_writers.py tests/test_durable.py \
		tests/safety tests/train/test_resume.py tests/train/test_honesty.py -rP \
		--durations=15 --timeout=3600

check: .venv/dev
	$(BIN)/ruff format --check src tests scripts benches
	$(BIN)/ruff check src tests scripts benches
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 2 -m "not slow" --cov --cov-report=term --cov-fail-under=$(FLOOR) -p no:cacheprovider

bench: .venv/base
	$(BIN)/python benches/startup.py

.venv/base: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch .venv/base

.venv/dev: .venv/base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch .venv/dev

clean:
	rm -rf .venv
