# syntax=docker/dockerfile:1
# Both images of sftrun. Packages first (gigabytes, they change with requirements/*.txt), our code last (seconds).
#   docker build --target operator -t sftrun-operator .
#   docker build --target trainer  -t sftrun-trainer .
# There is no HEALTHCHECK: the OCI image format has none, and in a cluster the chart's probes and the supervisor's own
# watch over stalls are asked.
ARG BASE_IMAGE=python:3.11-slim-bookworm
# Where the operator's files are put together: the same, of the machine that builds.
ARG BUILD_IMAGE=${BASE_IMAGE}

# What both images are at run time. Any uid can run them: HOME is /tmp, nothing under /opt is ever written, and
# USER and LOGNAME answer for a uid that /etc/passwd does not know (kopf asks for its name).
# Bytecode is compiled at build time and never checked again: the root is read-only at run time, and every
# process of a training run would otherwise compile torch and transformers anew.
FROM ${BASE_IMAGE} AS environment
ENV PATH=/opt/sftrun/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    HOME=/tmp \
    USER=sftrun \
    LOGNAME=sftrun \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

FROM environment AS runtime
RUN python -m venv --without-pip /opt/sftrun/venv \
 && echo /opt/sftrun/code > "$(/opt/sftrun/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/sftrun.pth"
WORKDIR /tmp

# The operator's files are put together on the machine that builds, whatever the image is for: its packages are taken
# for that architecture, bytecode is the same on all of them, and nothing of the image itself is run.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS operator-files
ARG BUILDARCH
ARG TARGETARCH
ARG UV_CACHE_DIR=/root/.cache/uv
ARG SSL_CERT_FILE
ARG PIP_CERT
COPY requirements/uv.txt requirements/operator.txt /opt/sftrun/requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    python -m venv --without-pip /opt/sftrun/venv \
 && echo /opt/sftrun/code > "$(/opt/sftrun/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/sftrun.pth" \
 && python -m venv /tmp/uv \
 && /tmp/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/sftrun/requirements/uv.txt \
 && case "${TARGETARCH}" in "${BUILDARCH}") for= ;; amd64) for=x86_64 ;; arm64) for=aarch64 ;; *) exit 1 ;; esac \
 && UV_CACHE_DIR="${UV_CACHE_DIR}" UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    PYTHONHASHSEED=0 VIRTUAL_ENV=/opt/sftrun/venv /tmp/uv/bin/uv pip sync --quiet --require-hashes \
    ${for:+--python-platform "${for}-unknown-linux-gnu" --only-binary :all:} /opt/sftrun/requirements/operator.txt \
 && rm -rf /tmp/uv
COPY crds/sftrun_api /opt/sftrun/code/sftrun_api
COPY operator/sftrun_operator /opt/sftrun/code/sftrun_operator
COPY LICENSE NOTICE /opt/sftrun/
ARG VERSION=0.0.0
RUN --mount=type=bind,source=hack/release/notices.py,target=/tmp/notices.py \
    /opt/sftrun/venv/bin/python -B /tmp/notices.py >/opt/sftrun/THIRD_PARTY.md \
 && PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash /opt/sftrun/code \
 && mkdir "/opt/sftrun/code/sftrun-${VERSION}.dist-info" \
 && printf 'Metadata-Version: 2.1\nName: sftrun\nVersion: %s\n' "${VERSION}" >"/opt/sftrun/code/sftrun-${VERSION}.dist-info/METADATA"

FROM environment AS operator
COPY --from=operator-files /opt/sftrun /opt/sftrun
WORKDIR /tmp
ARG VERSION=0.0.0
ARG REVISION=
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="sftrun-operator" \
      org.opencontainers.image.description="Operator of SFTRun: supervised fine-tuning on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
USER 1000:1000
ENTRYPOINT ["python", "-m", "sftrun_operator"]

FROM runtime AS trainer
ARG UV_CACHE_DIR=/root/.cache/uv
ARG SSL_CERT_FILE
ARG PIP_CERT
# Versions of Debian's packages are those of the base's release; what was installed stands in the image's SBOM.
# Triton compiles its launchers at run time, CPU offload its optimizer: both need a compiler in the image.
# (ninja comes locked with the Python packages.)
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends gcc g++ libc6-dev libgomp1 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt
COPY requirements/uv.txt requirements/trainer.txt /opt/sftrun/requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    python -m venv /tmp/uv \
 && /tmp/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r /opt/sftrun/requirements/uv.txt \
 && UV_CACHE_DIR="${UV_CACHE_DIR}" UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    VIRTUAL_ENV=/opt/sftrun/venv /tmp/uv/bin/uv pip sync --quiet --require-hashes /opt/sftrun/requirements/trainer.txt \
 && rm -rf /tmp/uv
# The address of a wheel made for this Python, torch 2.8 and CUDA; without it `flashAttn: fa2` is refused.
ARG FLASH_ATTN_WHEEL=
RUN if [ -n "${FLASH_ATTN_WHEEL}" ]; then \
      python3 -m venv /tmp/pip \
   && /tmp/pip/bin/pip --python /opt/sftrun/venv/bin/python install --quiet --no-cache-dir --no-deps "${FLASH_ATTN_WHEEL}" \
   && rm -rf /tmp/pip; \
    fi
COPY crds/sftrun_api /opt/sftrun/code/sftrun_api
COPY image/sftrun_data /opt/sftrun/code/sftrun_data
COPY image/sftrun_trainer /opt/sftrun/code/sftrun_trainer
COPY image/sftrun_workspace /opt/sftrun/code/sftrun_workspace
COPY LICENSE NOTICE /opt/sftrun/
ARG VERSION=0.0.0
RUN --mount=type=bind,source=hack/release/notices.py,target=/tmp/notices.py \
    python -B /tmp/notices.py >/opt/sftrun/THIRD_PARTY.md \
 && PYTHONHASHSEED=0 python -m compileall -q --invalidation-mode unchecked-hash /opt/sftrun/code \
 && mkdir "/opt/sftrun/code/sftrun-${VERSION}.dist-info" \
 && printf 'Metadata-Version: 2.1\nName: sftrun\nVersion: %s\n' "${VERSION}" >"/opt/sftrun/code/sftrun-${VERSION}.dist-info/METADATA"
ARG REVISION=
ENV SFTRUN_REVISION=${REVISION}
ARG BASE_IMAGE
LABEL org.opencontainers.image.title="sftrun-trainer" \
      org.opencontainers.image.description="Trainer of SFTRun: trajectories in, a checkpoint out, with LLaMA-Factory and DeepSpeed" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE_IMAGE}"
USER 1000:1000
ENTRYPOINT ["python", "-m", "sftrun_trainer"]
