# `make run`: set-up and an IOC with an example script. `make test`: set-up and all tests. `make demo`:
# a simulated instrument, a plot and a watchdog. PYTHON is the interpreter of the IOC, 3.11 or newer.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO = TE:DEMO:
comma = ,
PURE = $(subst $() ,$(comma),$(addprefix bgrscrpt_ioc/,$(addsuffix .py,events machine transitions lifecycle \
  messages output/loglines limits access/calc access/acf access/rules ca/records ca/fields config/macros \
  registry/dbtrouble registry/pvrows)))
READY = $(VENV)/ready

.PHONY: install system genie peers run demo lint format type test chaos cover bench docs all clean

install: $(READY)
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev,plot,docs]'
	touch $@

# The instrument scientists' own library, as the interpreter of the scripts that the tests run.
genie: $(VENV)/genie/ready
$(VENV)/genie/ready: constraints-genie.txt
	$(PYTHON) -m venv $(VENV)/genie
	$(VENV)/genie/bin/python -m pip install --quiet --constraint constraints-genie.txt 'genie_python[plot]' requests
	touch $@

system:
	@.ci/packages procServ:procserv mariadbd:mariadb-server git:git ip:iproute2 chromium:chromium \
	  faketime:faketime systemd-analyze:systemd

run: install
	@echo "Beside it, in another terminal (or with camonitor and caput, if you have EPICS):"
	@echo "  $(BIN)/bgrscrpt-ioc status --prefix $(DEMO)"
	@echo "  $(BIN)/bgrscrpt-ioc log BGRSCRPT_01 --prefix $(DEMO) --follow"
	@echo "  $(BIN)/bgrscrpt-ioc restart BGRSCRPT_01 --prefix $(DEMO)"
	@echo "  camonitor $(DEMO)BGRSCRPT_01:STATUS $(DEMO)BGRSCRPT_01:STATUS:MSG"
	$(BIN)/bgrscrpt-ioc run scripts_examples/background_script.py --prefix $(DEMO) --state-dir var

demo: install
	@echo "The plot, in a browser:  http://127.0.0.1:8989"
	@echo "The instrument, in another terminal:"
	@echo "  export EPICS_CA_ADDR_LIST='127.0.0.1:5064 127.0.0.1:5066 127.0.0.1:5068' EPICS_CA_AUTO_ADDR_LIST=NO"
	@echo "  $(BIN)/bgrscrpt-ioc status --prefix $(DEMO)"
	@echo "  camonitor $(DEMO)CS:SB:Temp_Sample $(DEMO)BGRSCRPT_01:STATUS $(DEMO)BGRSCRPT_01:MESSAGE"
	@echo "  caput $(DEMO)DAE:BEGINRUNEX 1                 # a new run: the plot begins anew"
	@echo "  caput $(DEMO)SIM:Temp_Sample:SEVR INVALID     # a gap in its line, until NO_ALARM"
	@echo "  caput $(DEMO)ZFMAGFLD_01:SIM:FAIL 1             # an IOC that fails: see $(DEMO)BGRSCRPT_02:MESSAGE"
	$(BIN)/bgrscrpt-ioc run --config scripts_examples/demo/demo.toml --state-dir var

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

type: install
	$(BIN)/pyright --pythonpath $(BIN)/python

test: install system genie
	$(BIN)/python -m pytest

chaos: install system
	$(BIN)/python -m tests.faults.chaos $(CHAOS)

cover: install system genie
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage report
	$(BIN)/python -m coverage report --fail-under=100 --include=$(PURE)

# The peers of the benchmarks, and what their scripts import.
peers: $(VENV)/bench/ready
$(VENV)/bench/ready: constraints-bench.txt
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip install --quiet --constraint constraints-bench.txt supervisor circus matplotlib
	touch $@

bench: install system peers
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.registry_outage
	$(BIN)/python -m benchmarks.network
	$(BIN)/python -m benchmarks.hostile

docs: install
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs . build/docs
	@echo build/docs/README.html

all: lint type test

clean:
	rm -rf $(VENV) var build dist .pytest_cache .ruff_cache .hypothesis .coverage
