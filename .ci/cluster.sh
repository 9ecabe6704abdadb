# shellcheck shell=bash
# Gives this machine a real Kubernetes to play with: usage . .ci/cluster.sh (wants .ci/engine.sh to have run)
# Its folder lies beside the checkout; without it the tests that need a cluster fail, since REQUIRE names it.
if [ -d ../shared/cluster ]; then
  ../shared/cluster/up.sh
  export KUBECONFIG=/tmp/local-cluster/run/admin.conf CONTEXT=local
  IMAGE_LOAD="$(realpath ../shared/cluster)/load-image.sh"
  export IMAGE_LOAD
fi
