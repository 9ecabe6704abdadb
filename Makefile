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
	@$(ENV) $(PYTHON) scripts/develop.py demo

.PHONY: doctor
doctor: ## Check this machine: one line per check, with what to try below each failure
	@$(ENV) python3 -E scripts/setup.py doctor

.PHONY: init_local
init_local: .venv/host ## Set up .venv, then check this machine
	@$(ENV) $(PYTHON) scripts/setup.py doctor --next

##@ Images

.PHONY: build_base_container
build_base_container: .venv/host ## Build layer 1: OS, Python, compilers
	@$(ENV) $(PYTHON) scripts/services.py build-base $(MAKECMDGOALS)

.PHONY: build_model_container
build_model_container: build_base_container ## Build layer 2: the model's locked libraries and code
	@$(ENV) $(PYTHON) scripts/services.py build-model

.PHONY: build_served_container
build_served_container: build_base_container ## Build layer 3, the image that serves a version: MODEL=models:/diabetes/3
	@$(ENV) $(PYTHON) scripts/services.py build-served

##@ MLflow services

.PHONY: start_mlflow_services
start_mlflow_services: build_base_container ## Start MLflow and Postgres, wait until the API answers
	@$(ENV) $(PYTHON) scripts/services.py start

.PHONY: stop_mlflow_services
stop_mlflow_services: .venv/host ## Stop the MLflow services; their data stays
	@$(ENV) $(PYTHON) scripts/services.py stop

.PHONY: logs
logs: .venv/host ## Follow the services' logs
	@$(ENV) $(PYTHON) scripts/services.py logs

.PHONY: start_monitoring
start_monitoring: .venv/host ## Start Prometheus on :9090, Alertmanager and Grafana, which find what is served
	@$(ENV) $(PYTHON) scripts/services.py start-monitoring

.PHONY: stop_monitoring
stop_monitoring: .venv/host ## Stop Prometheus, Alertmanager and Grafana; their data stays
	@$(ENV) $(PYTHON) scripts/services.py stop-monitoring

.PHONY: mlflow_ui
mlflow_ui: .venv/host ## Print the address of MLflow's UI; with RUNTIME=host, serve it
	@$(ENV) $(PYTHON) scripts/services.py ui

.PHONY: backup
backup: .venv/host ## Back up database and artifacts to one dated archive in BACKUP_DIR
	@$(ENV) $(PYTHON) scripts/services.py backup

.PHONY: restore
restore: .venv/host ## Verify an archive and restore it into empty services: BACKUP=backups/….tar.gz
	@$(ENV) $(PYTHON) scripts/services.py restore

.PHONY: reset_database_password
reset_database_password: .venv/host ## Set Postgres's password to the one in .slipway/ again
	@$(ENV) $(PYTHON) scripts/services.py reset-password

##@ Model

.PHONY: new_model
new_model: .venv/host ## Make a model folder: NAME=churn KIND=classifier|regressor|text|image|custom or FROM=…
	@$(ENV) $(PYTHON) scripts/model.py new

.PHONY: add
add: .venv/host ## Add libraries to MODEL_DIR's model and lock: LIBRARY="lightgbm==4.6 shap" GROUP=training
	@$(ENV) $(PYTHON) scripts/model.py add

.PHONY: train_model
train_model: .venv/host ## Train and register the model: TRAIN_ARGS="--alpha 0.3" KEPT=…
	@$(ENV) $(PYTHON) scripts/model.py train

.PHONY: tune_model
tune_model: .venv/host ## Search for the best arguments, train and register them: TRIALS=50 WORKERS=2 CONTEXT=…
	@$(ENV) $(PYTHON) scripts/model.py tune

.PHONY: env
env: .venv/host ## Print the variables that have a notebook log here: eval "$(make -s env)"
	@$(ENV) $(PYTHON) scripts/model.py env

.PHONY: validate_model
validate_model: .venv/host ## Score a model on held-out rows and log to its own run: MODEL=models:/diabetes/3
	@$(ENV) $(PYTHON) scripts/model.py validate

.PHONY: compare
compare: .venv/host ## Compare a version with @champion: MODEL=… or MODELS="1 3 models:/diabetes@champion"
	@$(ENV) $(PYTHON) scripts/model.py compare

.PHONY: wrap_model
wrap_model: .venv/host ## Register an existing model: FILE=….joblib or .skops or .py EXAMPLE=rows.csv
	@$(ENV) $(PYTHON) scripts/model.py wrap

.PHONY: list_models
list_models: .venv/host ## List the registry's model versions, newest first: FORMAT=json
	@$(ENV) $(PYTHON) scripts/model.py list

.PHONY: serve_model
serve_model: .venv/host ## Serve a model on :8001: MODEL=models:/diabetes@champion FOLLOW=1 PORT=8001
	@$(ENV) $(PYTHON) scripts/model.py serve

.PHONY: predict
predict: .venv/host ## Predict a file without a server: MODEL=… FILE=rows.csv OUT=out.csv PARAMS='{"…": …}'
	@$(ENV) $(PYTHON) scripts/model.py predict

.PHONY: score_batch
score_batch: .venv/host ## Score files of any size, resumable: MODEL=… DATA=rows/ OUT=scored/ WORKERS=2 CONTEXT=…
	@$(ENV) $(PYTHON) scripts/model.py score

.PHONY: test_api
test_api: .venv/host ## Test the served model's API: PORT=8001 or URL=http://… MODEL=…
	@$(ENV) $(PYTHON) scripts/model.py test

.PHONY: load_test
load_test: .venv/host ## Put load on a served model: URL=… USERS=50 MINUTES=2 RATE=… P99_MS=50 FAILURES=0
	@$(ENV) $(PYTHON) scripts/model.py load-test

##@ Release

.PHONY: promote
promote: .venv/host ## Move @champion to a version, after gate and smoke test: MODEL=… FORCE=1 WHY="…"
	@$(ENV) $(PYTHON) scripts/release.py promote

.PHONY: rollback
rollback: .venv/host ## Move @champion back to the previous one, after a smoke test: TO=3 TARGET=kubernetes
	@$(ENV) $(PYTHON) scripts/release.py rollback

.PHONY: releases
releases: .venv/host ## List promotions and rollbacks, newest first: FORMAT=json
	@$(ENV) $(PYTHON) scripts/release.py history

.PHONY: monitor
monitor: .venv/host ## Find drift, and what predictions were worth: MODEL=… DAYS=7 UNTIL=2026-11-30 STRICT=1
	@$(ENV) $(PYTHON) scripts/release.py monitor

.PHONY: add_truth
add_truth: .venv/host ## Add what came true of logged predictions, for their realised metrics: FILE=truth.csv
	@$(ENV) $(PYTHON) scripts/release.py add-truth

.PHONY: start_deployer
start_deployer: .venv/host ## Start the deployer on :8002: it deploys on request and whenever @champion moves
	@$(ENV) $(PYTHON) scripts/release.py start-deployer

.PHONY: stop_deployer
stop_deployer: .venv/host ## Stop the deployer, and the server that it started
	@$(ENV) $(PYTHON) scripts/release.py stop-deployer

##@ Kubernetes

.PHONY: deploy_minikube
deploy_minikube: .venv/host ## Deploy a version to minikube and test it there: MODEL=models:/diabetes/3
	@$(ENV) $(PYTHON) scripts/kubernetes.py deploy-minikube

.PHONY: undeploy_minikube
undeploy_minikube: .venv/host ## Remove the model from minikube
	@$(ENV) $(PYTHON) scripts/kubernetes.py undeploy-minikube

.PHONY: deploy
deploy: .venv/host ## Deploy to any cluster: MODEL=… CONTEXT=… NAMESPACE=… REGISTRY=… or IMAGE_LOAD=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py deploy

.PHONY: canary
canary: .venv/host ## Give a challenger a share of the requests: MODEL=models:/diabetes/4 WEIGHT=10, 0 ends it
	@$(ENV) $(PYTHON) scripts/kubernetes.py canary

.PHONY: undeploy
undeploy: .venv/host ## Remove the model from a cluster: CONTEXT=… NAMESPACE=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py undeploy

.PHONY: diff
diff: .venv/host ## Show what a deployment would change: MODEL=… CONTEXT=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py diff

.PHONY: deploy_status
deploy_status: .venv/host ## Show what runs in the cluster: version, image, replicas: CONTEXT=… FORMAT=json
	@$(ENV) $(PYTHON) scripts/kubernetes.py status

.PHONY: start_registry
start_registry: .venv/host ## Start an image registry on :5001, for clusters that pull: REGISTRY=127.0.0.1:5001
	@$(ENV) $(PYTHON) scripts/kubernetes.py start-registry

.PHONY: stop_registry
stop_registry: .venv/host ## Stop the image registry; its images stay
	@$(ENV) $(PYTHON) scripts/kubernetes.py stop-registry

.PHONY: deploy_tracking
deploy_tracking: build_base_container ## Deploy MLflow and Postgres to a cluster: CONTEXT=… NAMESPACE=… TRACKING_HOST=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py deploy-tracking

.PHONY: undeploy_tracking
undeploy_tracking: .venv/host ## Remove MLflow and Postgres; the data stays, unless DATA=delete: CONTEXT=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py undeploy-tracking

.PHONY: backup_tracking
backup_tracking: .venv/host ## Back up a cluster's MLflow to an archive: CONTEXT=… NAMESPACE=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py backup-tracking

.PHONY: restore_tracking
restore_tracking: .venv/host ## Restore an archive into a cluster's empty MLflow: BACKUP=backups/….tar.gz CONTEXT=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py restore-tracking

.PHONY: train_on_kubernetes
train_on_kubernetes: .venv/host ## Train as a Kubernetes Job: CONTEXT=… TRAIN_ARGS=… TRAIN_GPU=1 JOB=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py train

.PHONY: push_model
push_model: build_base_container ## Bring a version's image to a cluster: MODEL=… REGISTRY=… or IMAGE_LOAD=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py push

.PHONY: deploy_deployer
deploy_deployer: build_base_container ## Deploy the deployer, which follows @champion: CONTEXT=… NAMESPACE=… REGISTRY=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py deploy-deployer

.PHONY: undeploy_deployer
undeploy_deployer: .venv/host ## Remove the deployer; what it deployed stays: CONTEXT=… NAMESPACE=…
	@$(ENV) $(PYTHON) scripts/kubernetes.py undeploy-deployer

##@ Work on Slipway

.PHONY: test
test: .venv/dev ## Run the fast tests, in minutes: ARGS="-k registry"
	@$(ENV) $(PYTHON) -m pytest $(TESTS:%=tests/%) -m "not slow and not thorough" $(ARGS)

.PHONY: test_all
test_all: .venv/dev ## Run all tests that need no Docker, about an hour: TESTS="services browser"
	@$(ENV) $(PYTHON) -m pytest $(TESTS:%=tests/%) $(ARGS)

.PHONY: coverage
coverage: .venv/dev ## Measure which lines and branches the unit tests reach, against a floor
	@$(ENV) $(PYTHON) -m pytest tests/unit --cov $(ARGS)

.PHONY: test_e2e
test_e2e: .venv/dev ## Run the tests with real images and services (needs Docker): ARGS="-k backup"
	@$(ENV) $(PYTHON) -m pytest --timeout=900 tests/image tests/e2e $(ARGS)

.PHONY: test_cluster
test_cluster: .venv/dev ## Run the tests on a cluster that they may change: CONTEXT=… IMAGE_LOAD=…
	@$(ENV) $(PYTHON) -m pytest --timeout=900 tests/cluster $(ARGS)

.PHONY: check
check: .venv/dev ## Lint and type-check everything
	@$(ENV) $(PYTHON) scripts/develop.py check

.PHONY: bench_local
bench_local: .venv/host ## Measure the local loop: start, train, rebuild, memory (needs Docker)
	@$(ENV) $(PYTHON) benchmarks/local_loop.py

.PHONY: bench_serving
bench_serving: .venv/host ## Measure the model server against its peers, with wrk: QUICK=1 CASES=… SERVERS=… ROUNDS=3
	@$(ENV) $(PYTHON) benchmarks/serving/run.py

.PHONY: bench_log
bench_log: .venv/host ## Measure the model server with a prediction log and without, with wrk: ROUNDS=3 SECONDS=10
	@$(ENV) $(PYTHON) benchmarks/prediction_log.py

.PHONY: bench_batch
bench_batch: .venv/host ## Measure score_batch beside a pandas loop over mlflow.pyfunc: ROWS=10000000 CASES=linear
	@$(ENV) $(PYTHON) benchmarks/score_batch.py

.PHONY: bench_release
bench_release: .venv/host ## Measure promotion, rollback and deployment, and what callers notice (needs Docker)
	@$(ENV) $(PYTHON) -m benchmarks.release

.PHONY: bench_cluster
bench_cluster: .venv/host ## Measure deployments to the cluster of CONTEXT, and what callers notice (needs Docker)
	@$(ENV) $(PYTHON) -m benchmarks.cluster

.PHONY: fuzz
fuzz: .venv/host ## Fuzz the model server's decoders on Linux: SECONDS=600
	@$(ENV) $(PYTHON) scripts/develop.py fuzz

.PHONY: lock
lock: ## Lock MODEL_DIR's pyproject.toml, or the checkout's, and export it to requirements/
	@$(ENV) python3 -E scripts/setup.py lock

.PHONY: clean
clean: ## Remove build products: build/, caches, images
	@$(ENV) python3 -EB scripts/setup.py clean

.PHONY: wipe
wipe: ## Remove everything, including data, except backups (lists it and asks; YES=1 agrees)
	@$(ENV) python3 -EB scripts/setup.py wipe

.venv/host .venv/dev: .venv/%: requirements/%.txt
	@$(ENV) python3 -E scripts/setup.py venv $*
