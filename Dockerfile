# The gateway without PostgreSQL: docker-compose.yml puts one beside it (DATABASE_URL).
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY dev ./
RUN ./dev setup build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN ./dev build signalbox && strip build/signalbox build/signalbox-guard build/signalbox-sim-runtime

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl libcaf-core0.17 libfmt9 \
      libhttp-parser2.9 libjwt0 libmimalloc2.0 libpqxx-6.4 libprometheus-cpp-core1.0 \
      libsimdjson14 libsodium23 libspdlog1.10 libssl3 libyaml-cpp0.7 libzstd1 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 signalbox \
 && useradd --uid 10001 --gid signalbox --no-log-init --shell /usr/sbin/nologin \
      --home-dir /var/lib/signalbox --no-create-home signalbox \
 && install -d -m 700 -o signalbox -g signalbox /var/lib/signalbox
# All three in one folder: the gateway looks for the other two beside itself.
COPY --from=build /src/build/signalbox /src/build/signalbox-guard \
  /src/build/signalbox-sim-runtime /usr/local/bin/
USER signalbox
WORKDIR /var/lib/signalbox
VOLUME /var/lib/signalbox
EXPOSE 8000
ENV SIGNALBOX_LISTEN=0.0.0.0:8000 SIGNALBOX_DATA_DIR=/var/lib/signalbox
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8000/health/live"]
ENTRYPOINT ["signalbox"]
CMD ["serve"]
