# litehrnet for CPUs: predict, and the service on port 8018. Build in a checkout:
#   docker build -f docker/cpu.Dockerfile -t litehrnet .
#   docker run -e LITEHRNET_TOKEN=a-secret-of-yours -p 8018:8018 litehrnet
FROM debian:trixie-slim AS build
# Debian keeps no older versions that could be named here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes g++ python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ENV PIP_CONSTRAINT=/source/constraints.txt PIP_BUILD_CONSTRAINT=/source/constraints.txt
# Compiled bytecode and tests of other packages only make the image larger.
RUN python3 -m venv /opt/litehrnet \
    && /opt/litehrnet/bin/pip install --no-cache-dir --no-compile ".[serve]" \
    && /opt/litehrnet/bin/python -c "from litehrnet.engine import _native" \
    && /opt/litehrnet/bin/pip uninstall --yes pip \
    && find /opt/litehrnet -type d \( -name __pycache__ -o -name tests \) -prune -exec rm -r {} +

FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home litehrnet
COPY --from=build /opt/litehrnet /opt/litehrnet
ENV PATH=/opt/litehrnet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 1000
WORKDIR /home/litehrnet
EXPOSE 8018
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8018/healthz', timeout=5)"]
ENTRYPOINT ["litehrnet"]
CMD ["serve", "--no-page", "--host", "0.0.0.0"]
