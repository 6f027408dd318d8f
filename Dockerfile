# The images of the name server, the broker and the operator, for amd64 and arm64:
#   docker build --target broker -t rocketmq.rs/rmq-broker:0.1.0 .
# Each holds one static program and the directories that it is given volumes for, nothing else.
# `cargo xtask images` makes the same without Docker.
ARG BUILDER=rust:1.95-slim-bookworm

FROM ${BUILDER} AS build
WORKDIR /source
COPY . .
# With a named target, build scripts and macros do not get the flags.
RUN set -eu; \
    target=$(rustc -vV | sed -n 's/^host: //p'); \
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" \
      -p rmq-nameserver -p rmq-broker -p rmq-operator --bins; \
    for name in rmq-nameserver rmq-broker rmq-operator; do \
      mkdir -p "/out/$name/tmp"; \
      chmod 1777 "/out/$name/tmp"; \
      strip --strip-all -o "/out/$name/$name" "target/$target/release/$name"; \
    done; \
    mkdir -p /out/data /out/rmq-nameserver/etc/rocketmq /out/rmq-broker/etc/rocketmq

FROM scratch AS nameserver
COPY --from=build /out/rmq-nameserver/ /
COPY --from=build --chown=10001:10001 /out/data/ /var/lib/rocketmq/
USER 10001:10001
ENV PATH=/
EXPOSE 9876 9878 5557
LABEL org.opencontainers.image.title="rmq-nameserver" \
      org.opencontainers.image.description="RocketMQ name server" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/rmq-nameserver"]

FROM scratch AS broker
COPY --from=build /out/rmq-broker/ /
COPY --from=build --chown=10001:10001 /out/data/ /var/lib/rocketmq/
USER 10001:10001
ENV PATH=/
EXPOSE 10909 10911 10912 10913 5557
LABEL org.opencontainers.image.title="rmq-broker" \
      org.opencontainers.image.description="RocketMQ broker" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/rmq-broker"]

FROM scratch AS operator
COPY --from=build /out/rmq-operator/ /
USER 10001:10001
ENV PATH=/
EXPOSE 8080
LABEL org.opencontainers.image.title="rmq-operator" \
      org.opencontainers.image.description="Runs RocketMQ clusters in Kubernetes" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/rmq-operator"]
