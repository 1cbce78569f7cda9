# Commands of the repository. `make demo` and `make test` each work alone on a fresh Debian or Ubuntu machine as root.
PYTHON := .build/venv/bin/python
LAB := $(PYTHON) tests/lab/lab.py
CHECK := $(PYTHON) tests/ci/check.py
# Of `make bench-eda`.
PODS := 10
# Of `make soak`: seconds, and the number that repeats its faults.
DURATION := 180
SEED := 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit kernel integration molecule long eda awx-image bench bench-eda faults soak docs lab lab-clean clean prepare prepare-unit prepare-lab

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | \
	  while IFS='|' read -r target text; do printf '%-14s %s\n' "$$target" "$$text"; done

prepare:
	@bash tests/ci/bootstrap.sh

prepare-unit:
	@bash tests/ci/bootstrap.sh unit

prepare-lab:
	@bash tests/ci/bootstrap.sh lab

demo: prepare-lab ## Show the picture of the OKD page on three real hosts
	@$(PYTHON) tests/demo/demo.py

test: prepare-unit prepare-lab ## Run every check: two labs and the checks without a lab, side by side
	@$(CHECK) lint unit kernel integration images molecule soak

lint: prepare ## Formats, style, types, Ansible's rules, documentation, tarball
	@$(CHECK) lint

unit: prepare-unit ## Unit tests
	@$(CHECK) unit

kernel: prepare-unit ## VRFs and the encrypted tunnel on Debian's kernel, in a virtual machine
	@$(CHECK) kernel

integration: prepare-lab ## Tests of modules and filters by ansible-test, on this machine
	@$(CHECK) integration

molecule: prepare-unit prepare-lab ## Scenarios on the lab's hosts
	@$(CHECK) images molecule

long: prepare-lab ## The tests on the lab's hosts that `make test` runs with fewer repetitions, with all of them
	@$(CHECK) long

eda: ## The rulebooks under the real ansible-rulebook, against a test API server and with posted alerts
	@bash tests/ci/bootstrap.sh eda
	@cd .build/ansible_collections/netops/egress_ip && \
	  PYTHONPATH= ../../../../.build/eda/bin/python -m pytest -q -s -p no:cacheprovider tests/eda

awx-image: prepare-lab ## The execution environment of examples/awx, built on the lab's Debian
	@$(PYTHON) tests/awx/build_image.py

bench: prepare-unit prepare-lab ## Measure the cost of a packet and of the start of a pod, the planner, audits of a vCenter, a large fleet, and runs against simple playbooks
	@$(PYTHON) tests/bench/packets.py
	@$(PYTHON) tests/bench/pod_start.py
	@$(PYTHON) tests/bench/planner.py; planner=$$?; $(PYTHON) tests/bench/vsphere.py; vsphere=$$?; \
	  $(PYTHON) tests/bench/scale.py; scale=$$?; $(PYTHON) tests/bench/node_scale.py; node=$$?; \
	  $(PYTHON) tests/bench/bench.py && exit $$((planner + vsphere + scale + node))

bench-eda: ## Measure how long a new pod waits for its egress IP through Event-Driven Ansible: make bench-eda PODS=10
	@bash tests/ci/bootstrap.sh eda
	@PYTHONPATH= .build/eda/bin/python tests/bench/new_pod.py --pods $(PODS)

faults: prepare-lab ## Measure faults as a client sees them, without and with failover, and beside keepalived
	@$(PYTHON) tests/bench/faults.py
	@$(PYTHON) tests/bench/failover.py

soak: prepare-lab ## Random faults on the lab's hosts with failover: make soak DURATION=180 SEED=1
	@$(PYTHON) tests/soak/soak.py --duration $(DURATION) --seed $(SEED)

docs: prepare ## Build the guides and the reference as web pages in .build/docs, and check their links
	@$(PYTHON) tests/ci/build_docs.py

lab: prepare-lab ## Start the lab (python3 tests/lab/lab.py --help lists its commands)
	@$(LAB) up && $(LAB) status

lab-clean: prepare ## Remove the hosts and networks of both labs, and their images
	@$(LAB) down && EGRESS_IP_LAB_NAME=second $(LAB) down && $(LAB) remove-images

clean: ## Remove .build (run lab-clean before)
	@rm -rf .build
