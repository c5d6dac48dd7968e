# The container image: the program, the C library, certificates. No shell; runs as
# 65532 with a read-only root. For both platforms:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg REVISION=$(git rev-parse HEAD) .
#
# scripts/image builds it of a binary that is there, without a registry.

FROM docker.io/library/rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libvectorscan-dev pkg-config python3 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
ARG REVISION=unknown
RUN EXPURGATE_REVISION="$REVISION" cargo build --locked --release --bin expurgate --features static \
    && scripts/image-root target/release/expurgate /root-of-image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Expurgate" \
      org.opencontainers.image.description="A streaming redaction proxy for what AI agents send" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/expurgate/expurgate" \
      org.opencontainers.image.documentation="https://github.com/expurgate/expurgate/tree/main/docs" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /root-of-image/ /
USER 65532:65532
EXPOSE 8080 9090
# Others than this container's own processes are to reach it.
ENV EXPURGATE_LISTEN=0.0.0.0:8080 EXPURGATE_ADMIN=0.0.0.0:9090
ENTRYPOINT ["/usr/bin/expurgate"]
CMD ["run"]
