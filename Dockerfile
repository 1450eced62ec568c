# A base pinned by digest makes builds repeatable: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /app
RUN python -m venv --without-pip .venv
COPY requirements.lock ./
# Wheels alone, each with its hash: nothing is compiled, here or in the final image.
RUN pip --python .venv/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
        --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY infra infra
COPY chillproxy chillproxy
COPY addon addon
COPY sql sql
RUN pip --python .venv/bin/python install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && .venv/bin/python -m compileall -q infra chillproxy addon

FROM ${PYTHON_IMAGE}
# The embedded Postgres refuses root, and a user without an entry in /etc/passwd.
RUN groupadd --gid 10001 chillproxy \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data \
        --shell /usr/sbin/nologin chillproxy \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/data \
    HOST=0.0.0.0
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s CMD ["python", "-c", "\
import http.client, os, sys; \
caller = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8080), timeout=4); \
caller.request('GET', '/health/live'); \
sys.exit(caller.getresponse().status != 200)"]
ENTRYPOINT ["chillproxy"]
CMD ["serve"]
