#!/usr/bin/env bash
# Prints the JobSet that runs COMMAND of the settings on GKE, one pod a TPU host.
#
#   tpu_scripts/gke/jobset.sh [--settings=FILE] > jobset.yaml
#
# The cluster needs the JobSet controller and node pools of GKE_ACCELERATOR and GKE_TOPOLOGY. A pod
# that is preempted fails its job, and the JobSet starts all pods again, MAX_RESTARTS times.

. "$(dirname "$0")/../flags.sh"

[ -n "$IMAGE" ] || fail "IMAGE is not set: name a container image with jaxllm[tpu,gcs]"
[[ "$GKE_TOPOLOGY" =~ ^[0-9]+(x[0-9]+){1,2}$ ]] \
  || fail "GKE_TOPOLOGY=$GKE_TOPOLOGY: write it as 4x4 or 2x2x4"
chips=$((${GKE_TOPOLOGY//x/*}))
[ $((chips % CHIPS_PER_HOST)) = 0 ] \
  || fail "GKE_TOPOLOGY=$GKE_TOPOLOGY has $chips chips, which $CHIPS_PER_HOST a host do not divide"
hosts=$((chips / CHIPS_PER_HOST))

# as_json TEXT: a JSON string, which is a YAML string too.
as_json() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  printf '"%s"' "${text//$'\t'/\\t}"
}

selector="" tolerations=""
case "$PROVISIONING" in
  spot)
    selector='
                cloud.google.com/gke-spot: "true"'
    tolerations='
              tolerations:
                - {key: cloud.google.com/gke-spot, operator: Equal, value: "true", effect: NoSchedule}'
    ;;
  reserved)
    [ -n "$RESERVATION" ] || fail "PROVISIONING=reserved needs RESERVATION"
    selector="
                cloud.google.com/reservation-name: $RESERVATION"
    ;;
  on-demand) ;;
  *) fail "PROVISIONING=$PROVISIONING: use on-demand, spot or reserved" ;;
esac

cat <<END
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: $NAME
  annotations:
    alpha.jobset.sigs.k8s.io/exclusive-topology: cloud.google.com/gke-nodepool
spec:
  failurePolicy:
    maxRestarts: $MAX_RESTARTS
  replicatedJobs:
    - name: slice
      replicas: $SLICES
      template:
        spec:
          parallelism: $hosts
          completions: $hosts
          completionMode: Indexed
          backoffLimit: 0
          template:
            spec:
              restartPolicy: Never
              hostNetwork: true
              dnsPolicy: ClusterFirstWithHostNet
              terminationGracePeriodSeconds: 30
              nodeSelector:
                cloud.google.com/gke-tpu-accelerator: $GKE_ACCELERATOR
                cloud.google.com/gke-tpu-topology: $GKE_TOPOLOGY$selector$tolerations
              containers:
                - name: jaxllm
                  image: $IMAGE
                  command: ["bash", "-c", $(as_json "exec $COMMAND")]
                  resources:
                    requests: {google.com/tpu: $CHIPS_PER_HOST}
                    limits: {google.com/tpu: $CHIPS_PER_HOST}
END
