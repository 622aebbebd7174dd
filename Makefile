# `make run`: set-up and an IOC with an example script. `make test`: set-up and all tests. `make demo`:
# a simulated instrument, a plot and a watchdog. PYTHON is the interpreter of the IOC, 3.11 or newer.
VENV ?= .venv
BIN = $(VENV)/bin
PYTHON ?= $(firstword $(wildcard $(BIN)/python) python3)
VERSION := $(shell .ci/python $(PYTHON) 2>/dev/null)
WORKERS ?= 4
# What is run on Windows, and what with an IOC there and clients here; tests/windows/left_out.py says what not.
# `make test-windows WINDOWS=all` runs there what tells the same on Linux, too.
WINDOWS ?= chosen
UNDER_WINE = BGRSCRPT_TEST_WINDOWS_ALL=$(WINDOWS)
TWO = -n 2 --dist worksteal --timeout 600
INSIDE = tests/windows/inside tests/unit $(addprefix tests/process/test_,$(addsuffix .py,announcer checker console \
  deaths everywhere exits hook logdir logfile onchange paced pv_api quiet_end restart script_api script_bounds scriptfile \
  selfcheck stack_command supervisor torture worker writer))
ACROSS = tests/windows/across $(addprefix tests/ioc/test_,$(addsuffix .py,ioc notify past)) \
  tests/registry/test_end_to_end.py
ifeq ($(WINDOWS),all)
WINDOWS_GENIE = genie windows-genie
ACROSS += $(addprefix tests/examples/test_,watchdog.py::test_with_nothing_but_this_project \
  watchdog.py::test_the_documentations_script background_plot.py::test_the_documented_script \
  genie.py::test_in_a_script)
endif
DEMO = TE:DEMO:
export DEMO_WEB_PORT ?= 8089
comma = ,
PURE = $(subst $() ,$(comma),$(addprefix bgrscrpt_ioc/,$(addsuffix .py,lifecycle/events lifecycle/machine \
  lifecycle/transitions lifecycle/table process/messages process/parsing output/loglines output/jsonlines \
  output/textlines limits/limits access/calc access/acf access/putlines \
  access/rules records/table ca/fields config/macros registry/dbtrouble registry/pvrows)))
# What goes into the wheel: the IOC is installed as its users have it, and again when one of these changes.
SOURCES := $(shell find bgrscrpt_ioc by_hand db scripts_examples -type f ! -name '*.pyc' 2>/dev/null)
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Stamps. They name the Python, so that with another one everything is made anew.
READY = $(VENV)/ready-$(VERSION)
PLOT = $(VENV)/plot-$(VERSION)
TOOLS = $(VENV)/tools-$(VERSION)

.PHONY: install develop system wine windows windows-genie genie screens peers run demo lint format type test test-versions inside-windows test-windows chaos chaos-windows cover bench docs all clean

install: $(READY)
$(READY): pyproject.toml constraints.txt $(SOURCES)
	@.ci/venv $(PYTHON) $(VENV)
	@echo "Installing the IOC in $(VENV): 180 MB with its libraries. The first time takes up to a minute."
	@$(PIP) .
	@touch $@

# What the plot and the web page of `make demo` import, and what tests, checks and documents need: 400 MB.
$(PLOT): pyproject.toml constraints.txt | $(READY)
	@echo "Installing what the plot and the web page need."
	@$(PIP) '.[plot,web]'
	@touch $@
$(TOOLS): pyproject.toml constraints.txt | $(READY)
	@echo "Installing what tests, checks and documents need. The first time takes some minutes."
	@$(PIP) '.[test,dev,plot,docs]'
	@touch $@

# To run what is edited, at once. Tests want the installed wheel, or BGRSCRPT_TEST_TREE=1.
develop: $(TOOLS)
	$(PIP) --no-deps --editable .

# The instrument scientists' own library, as the interpreter of the scripts that the tests run.
genie: $(VENV)/genie/ready
$(VENV)/genie/ready: constraints-genie.txt
	$(PYTHON) -m venv $(VENV)/genie
	$(VENV)/genie/bin/python -m pip install --quiet --constraint constraints-genie.txt 'genie_python[plot]' requests
	touch $@

# What draws the operator screens in a browser for the tests.
screens: $(VENV)/screens/screen.js
$(VENV)/screens/screen.js: tests/screens/package.json tests/screens/screen.jsx | $(READY) system
	@.ci/screens tests/screens $(VENV)/screens

system:
	@.ci/packages procServ:procserv mariadbd:mariadb-server git:git ip:iproute2 chromium:chromium npm:npm \
	  faketime:faketime systemd-analyze:systemd zsh:zsh nginx:nginx-light tmux:tmux curl:curl

run: $(READY)
	@echo "Beside it, in another terminal (or with camonitor and caput, if you have EPICS):"
	@echo "  $(BIN)/bgrscrpt-ioc status --prefix $(DEMO)"
	@echo "  $(BIN)/bgrscrpt-ioc log BGRSCRPT_01 --prefix $(DEMO) --follow"
	@echo "  $(BIN)/bgrscrpt-ioc restart BGRSCRPT_01 --prefix $(DEMO)"
	@echo "  EPICS_CA_ADDR_LIST=127.255.255.255 EPICS_CA_AUTO_ADDR_LIST=NO camonitor $(DEMO)BGRSCRPT_01:STATUS $(DEMO)BGRSCRPT_01:STATUS:MSG"
	$(BIN)/bgrscrpt-ioc run scripts_examples/background_script.py --prefix $(DEMO) --state-dir var

demo: $(PLOT)
	@echo "The instrument, in another terminal:"
	@echo "  export EPICS_CA_ADDR_LIST='127.0.0.1:5064 127.0.0.1:5066 127.0.0.1:5068' EPICS_CA_AUTO_ADDR_LIST=NO"
	@echo "  $(BIN)/bgrscrpt-ioc status --config scripts_examples/demo/demo.toml"
	@echo "  camonitor $(DEMO)CS:SB:Temp_Sample $(DEMO)BGRSCRPT_01:STATUS $(DEMO)BGRSCRPT_01:MESSAGE"
	@echo "  caput $(DEMO)DAE:BEGINRUNEX 1                 # a new run: the plot begins anew"
	@echo "  caput $(DEMO)SIM:Temp_Sample:SEVR INVALID     # a gap in its line, until NO_ALARM"
	@echo "  caput $(DEMO)ZFMAGFLD_01:SIM:FAIL 1             # an IOC that fails: see $(DEMO)BGRSCRPT_02:MESSAGE"
	@echo "All of this in a browser, the token is \"demo\":  http://127.0.0.1:$(DEMO_WEB_PORT)/"
	@$(BIN)/python -P scripts_examples/demo/start_demo.py --state-dir var

# What measures how easy pages are to read. It installs a package `tests`, so it has its own environment.
$(VENV)/prose/ready: constraints-prose.txt
	$(PYTHON) -m venv $(VENV)/prose
	$(VENV)/prose/bin/python -m pip install --quiet --constraint constraints-prose.txt textstat
	touch $@

lint: $(TOOLS) $(VENV)/prose/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(VENV)/prose/bin/python docs/prose.py

format: $(TOOLS)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

type: $(TOOLS)
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pyright --pythonpath $(BIN)/python --project tests/windows

test: $(TOOLS) system genie screens
	$(BIN)/python -P -m pytest -n $(WORKERS) --dist worksteal

# A Python of Windows that runs under Wine, with what the IOC needs: 900 MB, only for `make test-windows`.
wine:
	@.ci/packages wine:wine x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64-win32
windows: $(VENV)/windows/ready
$(VENV)/windows/ready: constraints.txt tests/windows/assemble tests/windows/numpy_shim.py $(wildcard tests/windows/p*.*) | $(TOOLS) wine
	@echo "Making a Python of Windows for the tests. It takes a minute."
	@tests/windows/assemble $(VENV)/windows $(BIN)/python
	@touch $@

# genie_python for scripts there, which only `WINDOWS=all` needs: 280 MB.
windows-genie: $(VENV)/windows/genie/ready
$(VENV)/windows/genie/ready: tests/windows/genie constraints-genie.txt | windows
	@echo "Installing genie_python for the Python of Windows."
	@tests/windows/genie $(VENV)/windows $(BIN)/python
	@touch $@

# Tests on Windows; and of an IOC there by clients here.
inside-windows: $(TOOLS) windows
	tests/windows/install $(VENV)/windows $(BIN)/python
	$(UNDER_WINE) $(BIN)/python tests/windows/run.py $(VENV)/windows $(TWO) $(INSIDE)
test-windows: inside-windows system $(WINDOWS_GENIE)
	$(UNDER_WINE) BGRSCRPT_TEST_WINDOWS=$(VENV)/windows $(BIN)/python -P -m pytest $(TWO) $(ACROSS)

# The tests that depend on Python's version, with every other version that is on this machine.
test-versions: $(READY) system genie
	.ci/versions $(VENV) $(WORKERS)

chaos: $(READY) $(TOOLS) system
	$(BIN)/python -m tests.faults.chaos $(CHAOS)
	$(BIN)/python -m tests.ca.recorded $(FUZZ)
	$(BIN)/python -m tests.ca.acctst
chaos-windows: $(TOOLS) windows
	tests/windows/install $(VENV)/windows $(BIN)/python
	BGRSCRPT_TEST_WINDOWS=$(VENV)/windows $(BIN)/python -m tests.windows.chaos $(CHAOS)

cover: $(TOOLS) system genie
	BGRSCRPT_TEST_TREE=1 $(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage report
	$(BIN)/python -m coverage report --fail-under=100 --include=$(PURE)

# The peers of the benchmarks, and what their scripts import.
peers: $(VENV)/bench/ready
$(VENV)/bench/ready: constraints-bench.txt
	$(PYTHON) -m venv $(VENV)/bench
	$(VENV)/bench/bin/python -m pip install --quiet --constraint constraints-bench.txt supervisor circus matplotlib
	touch $@

bench: $(TOOLS) system peers
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.registry_outage
	$(BIN)/python -m benchmarks.neighbours

docs: $(TOOLS)
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs . build/docs
	@echo build/docs/README.html

all: lint type test

clean:
	rm -rf $(VENV) var build dist .pytest_cache .ruff_cache .hypothesis .coverage
