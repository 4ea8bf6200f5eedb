# The environment of a run as an image, with the versions of the lock files, each file checked by its hash.
#
#   docker build --target cpu -t segrepro:cpu .
#   docker run --rm --init --user "$(id -u):$(id -g)" -v "$PWD:/segrepro" segrepro:cpu --cores all
#
#   docker build --target gpu -t segrepro:gpu .
#   docker run --rm --init --gpus all --user "$(id -u):$(id -g)" -v "$PWD:/segrepro" segrepro:gpu --config scale=full
#
# The checkout is mounted, not copied: code, data, results and Snakemake's own records stay in it, so that the next
# call, in a container or not, goes on from there.
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS base
# git: a run records its commit. libgomp1: OpenMP of NumPy's and OpenCV's wheels.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# Any user may run it: what wants a home or a name (Matplotlib, Snakemake) finds one.
ENV HOME=/tmp/home \
    USER=segrepro \
    PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN mkdir -m 1777 /tmp/home && git config --system --add safe.directory /segrepro
WORKDIR /segrepro
ENTRYPOINT ["snakemake"]

# pydensecrf2 is built from source: the compiler stays in these two stages.
FROM base AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/* \
    && python -m venv /opt/venv

FROM build AS build-cpu
COPY requirements.lock requirements-build.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-build.lock \
    && pip install --no-cache-dir --require-hashes --no-build-isolation -r /tmp/requirements.lock

# CUDA and cuDNN come as wheels; of the host only the driver (and NVIDIA's container toolkit) is needed.
FROM build AS build-gpu
COPY requirements-gpu.lock requirements-build.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-build.lock \
    && pip install --no-cache-dir --require-hashes --no-build-isolation -r /tmp/requirements-gpu.lock

FROM base AS gpu
COPY --from=build-gpu /opt/venv /opt/venv

# The last stage is what a bare `docker build .` makes.
FROM base AS cpu
COPY --from=build-cpu /opt/venv /opt/venv
