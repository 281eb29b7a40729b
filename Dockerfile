# matgen with its web page and structures, for `docker build` and `podman build`; the README tells how to run it.
# BASE: a Debian with Python 3.11 to 3.13. PACKAGES: Debian packages beside it, such as "gpaw gpaw-data" for `matgen dft run`.
# PIP_EXTRA_INDEX_URL: for example that of torch's builds without CUDA, which make the image smaller.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
ARG PIP_EXTRA_INDEX_URL
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3-venv
WORKDIR /source
COPY . .
RUN python3 -m venv /opt/matgen && /opt/matgen/bin/pip install --no-cache-dir -c constraints.txt '.[app]'

FROM ${BASE}
ARG PACKAGES=""
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/matgen /opt/matgen
# Caches go below HOME, which anybody may write, as the container is best run under the user's own number.
ENV PATH=/opt/matgen/bin:$PATH HOME=/home/matgen
RUN mkdir -m 1777 /home/matgen && useradd --uid 1000 --no-create-home --home-dir /home/matgen matgen
USER matgen
WORKDIR /work
ENTRYPOINT ["matgen"]
CMD ["--help"]
