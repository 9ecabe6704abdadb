# The table of contents: every action is one line of help and one command. Settings: mlflow_env.sh.
.DEFAULT_GOAL := help
ENV := unset PYTHONHOME && . ./mlflow_env.sh && exec
PYTHON := .venv/bin/python
TESTS := unit repo manifests services contract protocols scoring browser # folders that make test and test_all run

##@ Start here

.PHONY: help
help: ## Show this list
	@awk -f scripts/help.awk $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/host ## Train, register, serve and test the model without Docker, in one go
	@$(ENV) $(PYTHON) scripts/demo.py

.PHONY: doctor
doctor: ## Check this machine: one line per check, with what to try below each failure
	@$(ENV) python3 -E scripts/doctor.py

.PHONY: init_local
init_local: .venv/host ## Set up .venv, then check this machine
	@$(ENV) $(PYTHON) scripts/doctor.py --next

##@ Images

.PHONY: build_base_container
build_base_container: .venv/host ## Build layer 1: OS, Python, compilers
	@$(ENV) $(PYTHON) scripts/build_base_container.py $(MAKECMDGOALS)

.PHONY: build_model_container
build_model_container: build_base_container ## Build layer 2: the model's locked libraries and code
	@$(ENV) $(PYTHON) scripts/build_model_container.py

##@ MLflow services

.PHONY: start_mlflow_services
start_mlflow_services: build_base_container ## Start MLflow and Postgres, wait until the API answers
	@$(ENV) $(PYTHON) scripts/start_mlflow_services.py

.PHONY: stop_mlflow_services
stop_mlflow_services: .venv/host ## Stop the MLflow services; their data stays
	@$(ENV) $(PYTHON) scripts/stop_mlflow_services.py

.PHONY: logs
logs: .venv/host ## Follow the services' logs
	@$(ENV) $(PYTHON) scripts/logs.py

.PHONY: mlflow_ui
mlflow_ui: .venv/host ## Print the address of MLflow's UI; with RUNTIME=host, serve it
	@$(ENV) $(PYTHON) scripts/mlflow_ui.py

.PHONY: backup
backup: .venv/host ## Back up database and artifacts to one dated archive in BACKUP_DIR
	@$(ENV) $(PYTHON) scripts/backup.py

.PHONY: restore
restore: .venv/host ## Verify an archive and restore it into empty services: BACKUP=backups/….tar.gz
	@$(ENV) $(PYTHON) scripts/restore.py -- "$$BACKUP"

.PHONY: reset_database_password
reset_database_password: .venv/host ## Set Postgres's password to the one in .slipway/ again
	@$(ENV) $(PYTHON) scripts/reset_database_password.py

##@ Model

.PHONY: train_model
train_model: .venv/host ## Train and register the model: TRAIN_ARGS="--alpha 0.3" KEPT=…
	@$(ENV) $(PYTHON) scripts/train_model.py --kept="$$KEPT"

.PHONY: validate_model
validate_model: .venv/host ## Score a model on held-out rows and log to its own run: MODEL=models:/diabetes/3
	@$(ENV) $(PYTHON) scripts/validate_model.py -- "$$MODEL"

.PHONY: compare
compare: .venv/host ## Compare a version with @champion: MODEL=… or MODELS="1 3 models:/diabetes@champion"
	@$(ENV) $(PYTHON) scripts/compare.py --models="$$MODELS" -- "$$MODEL"

.PHONY: wrap_model
wrap_model: .venv/host ## Register an existing model: FILE=….joblib or .skops or .py EXAMPLE=rows.csv
	@$(ENV) $(PYTHON) scripts/wrap_model.py --example="$$EXAMPLE" --class="$$CLASS" --trust="$$TRUST" -- "$$FILE"

.PHONY: list_models
list_models: .venv/host ## List the registry's model versions, newest first: FORMAT=json
	@$(ENV) $(PYTHON) scripts/list_models.py --format="$$FORMAT"

.PHONY: serve_model
serve_model: .venv/host ## Serve a model on :8001: MODEL=models:/diabetes@champion FOLLOW=1 PORT=8001
	@$(ENV) $(PYTHON) scripts/serve_model.py --follow="$$FOLLOW" -- "$$MODEL"

.PHONY: test_api
test_api: .venv/host ## Test the served model's API: PORT=8001 or URL=http://… MODEL=…
	@$(ENV) $(PYTHON) scripts/test_api.py -- "$$MODEL"

##@ Release

.PHONY: promote
promote: .venv/host ## Move @champion to a version, after gate and smoke test: MODEL=… FORCE=1 WHY="…"
	@$(ENV) $(PYTHON) scripts/promote.py --force="$$FORCE" --why="$$WHY" -- "$$MODEL"

.PHONY: rollback
rollback: .venv/host ## Move @champion back to the previous one, after a smoke test: TO=3 TARGET=kubernetes
	@$(ENV) $(PYTHON) scripts/rollback.py --to="$$TO" --target="$$TARGET"

.PHONY: releases
releases: .venv/host ## List promotions and rollbacks, newest first: FORMAT=json
	@$(ENV) $(PYTHON) scripts/releases.py --format="$$FORMAT"

.PHONY: start_deployer
start_deployer: .venv/host ## Start the deployer on :8002: it deploys on request and whenever @champion moves
	@$(ENV) $(PYTHON) scripts/start_deployer.py

.PHONY: stop_deployer
stop_deployer: .venv/host ## Stop the deployer, and the server that it started
	@$(ENV) $(PYTHON) scripts/stop_deployer.py

##@ Kubernetes

.PHONY: deploy_minikube
deploy_minikube: .venv/host ## Deploy a version to minikube and test it there: MODEL=models:/diabetes/3
	@$(ENV) $(PYTHON) scripts/deploy_minikube.py -- "$$MODEL"

.PHONY: undeploy_minikube
undeploy_minikube: .venv/host ## Remove the model from minikube
	@$(ENV) $(PYTHON) scripts/undeploy.py --minikube

.PHONY: deploy
deploy: .venv/host ## Deploy to any cluster: MODEL=… CONTEXT=… NAMESPACE=… REGISTRY=… or IMAGE_LOAD=…
	@$(ENV) $(PYTHON) scripts/deploy.py -- "$$MODEL"

.PHONY: canary
canary: .venv/host ## Give a challenger a share of the requests: MODEL=models:/diabetes/4 WEIGHT=10, 0 ends it
	@$(ENV) $(PYTHON) scripts/canary.py --weight="$$WEIGHT" -- "$$MODEL"

.PHONY: undeploy
undeploy: .venv/host ## Remove the model from a cluster: CONTEXT=… NAMESPACE=…
	@$(ENV) $(PYTHON) scripts/undeploy.py

.PHONY: diff
diff: .venv/host ## Show what a deployment would change: MODEL=… CONTEXT=…
	@$(ENV) $(PYTHON) scripts/diff.py -- "$$MODEL"

.PHONY: deploy_status
deploy_status: .venv/host ## Show what runs in the cluster: version, image, replicas: CONTEXT=… FORMAT=json
	@$(ENV) $(PYTHON) scripts/deploy_status.py --format="$$FORMAT"

.PHONY: start_registry
start_registry: .venv/host ## Start an image registry on :5001, for clusters that pull: REGISTRY=127.0.0.1:5001
	@$(ENV) $(PYTHON) scripts/start_registry.py

.PHONY: stop_registry
stop_registry: .venv/host ## Stop the image registry; its images stay
	@$(ENV) $(PYTHON) scripts/stop_registry.py

.PHONY: deploy_tracking
deploy_tracking: build_base_container ## Deploy MLflow and Postgres to a cluster: CONTEXT=… NAMESPACE=… TRACKING_HOST=…
	@$(ENV) $(PYTHON) scripts/deploy_tracking.py

.PHONY: undeploy_tracking
undeploy_tracking: .venv/host ## Remove MLflow and Postgres; the data stays, unless DATA=delete: CONTEXT=…
	@$(ENV) $(PYTHON) scripts/undeploy_tracking.py --data="$$DATA"

.PHONY: backup_tracking
backup_tracking: .venv/host ## Back up a cluster's MLflow to an archive: CONTEXT=… NAMESPACE=…
	@$(ENV) $(PYTHON) scripts/backup_tracking.py

.PHONY: restore_tracking
restore_tracking: .venv/host ## Restore an archive into a cluster's empty MLflow: BACKUP=backups/….tar.gz CONTEXT=…
	@$(ENV) $(PYTHON) scripts/restore_tracking.py -- "$$BACKUP"

.PHONY: train_on_kubernetes
train_on_kubernetes: .venv/host ## Train as a Kubernetes Job: CONTEXT=… TRAIN_ARGS=… TRAIN_GPU=1 JOB=…
	@$(ENV) $(PYTHON) scripts/train_on_kubernetes.py --job="$$JOB"

.PHONY: push_model
push_model: build_base_container ## Bring a version's image to a cluster: MODEL=… REGISTRY=… or IMAGE_LOAD=…
	@$(ENV) $(PYTHON) scripts/push_model.py -- "$$MODEL"

.PHONY: deploy_deployer
deploy_deployer: build_base_container ## Deploy the deployer, which follows @champion: CONTEXT=… NAMESPACE=… REGISTRY=…
	@$(ENV) $(PYTHON) scripts/deploy_deployer.py

.PHONY: undeploy_deployer
undeploy_deployer: .venv/host ## Remove the deployer; what it deployed stays: CONTEXT=… NAMESPACE=…
	@$(ENV) $(PYTHON) scripts/undeploy_deployer.py

##@ Work on Slipway

.PHONY: test
test: .venv/dev ## Run the fast tests, in minutes: ARGS="-k registry"
	@$(ENV) $(PYTHON) -m pytest $(TESTS:%=tests/%) -m "not slow and not thorough" $(ARGS)

.PHONY: test_all
test_all: .venv/dev ## Run all tests that need no Docker, about an hour: TESTS="services browser"
	@$(ENV) $(PYTHON) -m pytest $(TESTS:%=tests/%) $(ARGS)

.PHONY: test_e2e
test_e2e: .venv/dev ## Run the tests with real images and services (needs Docker): ARGS="-k backup"
	@$(ENV) $(PYTHON) -m pytest --timeout=900 tests/image tests/e2e $(ARGS)

.PHONY: test_cluster
test_cluster: .venv/dev ## Run the tests on a cluster that they may change: CONTEXT=… IMAGE_LOAD=…
	@$(ENV) $(PYTHON) -m pytest --timeout=900 tests/cluster $(ARGS)

.PHONY: check
check: .venv/dev ## Lint and type-check everything
	@$(ENV) $(PYTHON) scripts/check.py

.PHONY: bench_local
bench_local: .venv/host ## Measure the local loop: start, train, rebuild, memory (needs Docker)
	@$(ENV) $(PYTHON) benchmarks/local_loop.py

.PHONY: bench_serving
bench_serving: .venv/host ## Measure the model server against its peers, with wrk: QUICK=1, CASES=…, SERVERS=…
	@$(ENV) $(PYTHON) benchmarks/serving/run.py

.PHONY: bench_release
bench_release: .venv/host ## Measure promotion, rollback and deployment, and what callers notice (needs Docker)
	@$(ENV) $(PYTHON) -m benchmarks.release

.PHONY: bench_cluster
bench_cluster: .venv/host ## Measure deployments to the cluster of CONTEXT, and what callers notice (needs Docker)
	@$(ENV) $(PYTHON) -m benchmarks.cluster

.PHONY: fuzz
fuzz: .venv/host ## Fuzz the model server's decoders on Linux: SECONDS=600
	@$(ENV) $(PYTHON) scripts/fuzz.py

.PHONY: lock
lock: ## Lock the dependencies of pyproject.toml again and export them to requirements/
	@$(ENV) python3 -E scripts/lock.py

.PHONY: clean
clean: ## Remove build products: build/, caches, images
	@$(ENV) python3 -EB scripts/clean.py

.PHONY: wipe
wipe: ## Remove everything, including data, except backups (lists it and asks; YES=1 agrees)
	@$(ENV) python3 -EB scripts/wipe.py

.venv/host .venv/dev: .venv/%: requirements/%.txt
	@$(ENV) python3 -E scripts/set_up.py $*
