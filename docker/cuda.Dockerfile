# litehrnet for NVIDIA GPUs: training and prediction with PyTorch. Build in a checkout:
#   docker build -f docker/cuda.Dockerfile -t litehrnet-cuda .
#   docker run --gpus all -v "$PWD:/work" litehrnet-cuda predict photo.jpg --runtime torch --device cuda
# PyTorch's wheels for Linux contain CUDA's libraries, so only the driver of the host is needed.
FROM debian:trixie-slim AS build
# Debian keeps no older versions that could be named here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ENV PIP_CONSTRAINT=/source/constraints.txt PIP_BUILD_CONSTRAINT=/source/constraints.txt
RUN python3 -m venv /opt/litehrnet \
    && /opt/litehrnet/bin/pip install --no-cache-dir ".[train,export,serve]"

FROM debian:trixie-slim
# torch.compile needs the compiler and the headers.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes g++ python3-dev \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home litehrnet
COPY --from=build /opt/litehrnet /opt/litehrnet
ENV PATH=/opt/litehrnet/bin:$PATH PYTHONUNBUFFERED=1 NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
WORKDIR /work
ENTRYPOINT ["litehrnet"]
CMD ["--help"]
