# shellcheck shell=bash
# Gives this machine a real Kubernetes to play with: usage . .ci/cluster.sh (wants .ci/engine.sh to have run)
# Its folder lies beside the checkout; without it the tests that need a cluster fail, since REQUIRE names it.
if [ -d ../shared/cluster ]; then
  export KUBECONFIG=/tmp/local-cluster/run/admin.conf CONTEXT=local
  if ! kubectl get --raw /readyz >/dev/null 2>&1; then
    rm -f /tmp/local-cluster/run/pid/* # of one that was killed; the numbers may be others' by now
    ../shared/cluster/down.sh --wipe
    ../shared/cluster/up.sh
  fi
  IMAGE_LOAD="$(realpath ../shared/cluster)/load-image.sh"
  export IMAGE_LOAD
fi
