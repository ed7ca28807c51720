# The server in a container: docs/containers.md says how to use it. `--target pacs` makes the PACS of compose.yaml.
#
# TORCH_INDEX chooses the build of PyTorch, the only large difference between a server for a CPU and one for a GPU: left
# out, it is that of the package index, with CUDA on x86-64; the address of PyTorch's index of CPU builds makes an image
# of a quarter of the size.
ARG DEBIAN=debian:bookworm-slim

FROM ${DEBIAN} AS pacs
RUN apt-get update \
    && apt-get install --yes --no-install-recommends orthanc orthanc-dicomweb curl \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner orthanc --group orthanc /var/lib/orthanc/db
COPY docker/orthanc.json /etc/orthanc-in-container.json
USER orthanc
VOLUME /var/lib/orthanc/db
EXPOSE 8042 4242
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["curl", "--fail", "--silent", "--output", "/dev/null", "http://127.0.0.1:8042/system"]
ENTRYPOINT ["Orthanc", "/etc/orthanc-in-container.json"]

FROM ${DEBIAN} AS server
ARG TORCH_INDEX=""
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/activelabel
ARG PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ENV PATH=/opt/activelabel/.venv/bin:$PATH
# PyTorch, and then all other packages, are layers of their own: they stay while only our code changes. pip is newer than
# Debian's, which takes long to find what goes together.
COPY constraints.txt ./
RUN python3 -m venv .venv && pip install --upgrade pip setuptools wheel
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --constraint constraints.txt torch torchvision
# sam2, which MONAI Label asks for, comes as source: it is built with the torch that is here already, and without the
# compiler that its CUDA code would take.
RUN SAM2_BUILD_CUDA=0 pip install --constraint constraints.txt --no-build-isolation sam2
COPY pyproject.toml setup.py README.md LICENSE ./
COPY clients/slicer clients/slicer
COPY lib/activelabel/__init__.py lib/activelabel/__init__.py
RUN pip install --constraint constraints.txt .
COPY lib lib
RUN pip install --no-deps --force-reinstall . && rm -rf build

RUN useradd --uid 10001 --create-home activelabel && install --directory --owner activelabel /data /studies
# USER, for a container that is started as a user whom /etc/passwd does not know: libraries ask for the name of theirs.
ENV PYTHONUNBUFFERED=1 \
    USER=activelabel \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_DATA_HOME=/data \
    MONAI_LABEL_DICOMWEB_CACHE_PATH=/data/series
USER activelabel
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGINT
# `/auth/` is answered without a login. With a certificate, set HEALTH to its https address.
ENV HEALTH=http://127.0.0.1:8000/auth/
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=6 \
    CMD ["python3", "-c", "import os, ssl, urllib.request as u; u.urlopen(os.environ['HEALTH'], context=ssl._create_unverified_context(), timeout=4)"]
ENTRYPOINT ["activelabel"]
CMD ["start", "--studies", "/studies", "--host", "0.0.0.0", "--conf", "project_dir", "/data/project"]
