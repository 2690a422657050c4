# shellcheck shell=bash disable=SC2034
# What all scripts here read. Each value may also come from the environment (NAME=b run.sh), and
# --settings=FILE reads another file instead of this one.

# ---- The run ------------------------------------------------------------------------------------
: "${NAME:=jaxllm}"         # of the queued resource, its nodes, the JobSet, the SLURM job
# What every worker runs; its folder must outlive the machines, so on gs:// or a shared disk.
: "${COMMAND:=jaxllm launch -- train --config=configs/smoke_cpu.py --workdir=gs://BUCKET/smoke}"

# ---- The code: a git revision, or a wheel -------------------------------------------------------
: "${REPOSITORY:=}"         # default: the origin of this checkout
: "${REVISION:=}"           # a commit; default: the one that is checked out here
: "${WHEEL:=}"              # a local .whl to install instead; configs/ is copied beside it
: "${EXTRAS:=tpu,gcs}"      # of pyproject.toml
: "${PYTHON_VERSION:=3.12}" # fetched by uv where the image has none

# ---- Cloud TPU ----------------------------------------------------------------------------------
: "${PROJECT:=}"            # default: gcloud's own
: "${ZONE:=us-central1-a}"
: "${ACCELERATOR:=v5litepod-16}"         # as gcloud names it; jaxllm plan prints both namings
: "${RUNTIME:=v2-alpha-tpuv5-lite}"      # the VM image that belongs to the accelerator
: "${SLICES:=1}"            # several are joined over the data-center network
: "${PROVISIONING:=spot}"   # on-demand, spot, reserved
: "${MAX_WAIT:=}"           # give the request up after so long in the queue, such as 6h
: "${POLL_SECONDS:=30}"
: "${MAX_RESTARTS:=100}"    # re-creations and new starts before run.sh gives up

# ---- GKE ----------------------------------------------------------------------------------------
: "${IMAGE:=}"              # with jaxllm[tpu,gcs] and configs/ in its working directory
: "${GKE_ACCELERATOR:=tpu-v5-lite-podslice}"
: "${GKE_TOPOLOGY:=4x4}"
: "${CHIPS_PER_HOST:=4}"
: "${RESERVATION:=}"        # with PROVISIONING=reserved

# ---- SLURM (GPUs) -------------------------------------------------------------------------------
: "${SLURM_PARTITION:=}"
: "${NODES:=1}"
: "${GPUS_PER_NODE:=8}"
: "${TIME_LIMIT:=24:00:00}" # a job that reaches it saves and is queued again

# ---- A sweep ------------------------------------------------------------------------------------
: "${MACHINES:=2}"          # TPU VMs, or array tasks, at once
