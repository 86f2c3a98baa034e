# The service in a container. Build: docker build -t duixian .
# Run: docker run -p 8000:8000 -v duixian-data:/data duixian
FROM python:3.12-slim AS build

COPY requirements.txt /build/requirements.txt
RUN python -m venv /opt/venv
RUN /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --only-binary=:all: --require-hashes -r /build/requirements.txt
# The source tree is not installed but copied, since migrations, policies and static files stand in it;
# the command is a script that imports it; each of several workers imports the script.
RUN printf '#!/opt/venv/bin/python\nfrom app.cli import main\n\nif __name__ == "__main__":\n    main()\n' \
        > /opt/venv/bin/duixian \
    && chmod 755 /opt/venv/bin/duixian


FROM python:3.12-slim

RUN groupadd --gid 10001 duixian \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv/duixian --shell /usr/sbin/nologin duixian \
    && install -d -o duixian -g duixian /data
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/duixian
COPY alembic.ini ./
COPY domain domain
COPY projections projections
COPY migrations migrations
COPY app app

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/srv/duixian \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DUIXIAN_DATABASE_URL=sqlite:////data/duixian.db \
    DUIXIAN_AUDIT_KEY_FILE=/data/audit.key \
    DUIXIAN_HOST=0.0.0.0 \
    DUIXIAN_PORT=8000 \
    DUIXIAN_LOG_FORMAT=json

USER duixian
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['DUIXIAN_PORT'] + '/healthz', timeout=4)"]
CMD ["sh", "-c", "duixian migrate && exec duixian serve"]
