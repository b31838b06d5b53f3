# kreplay in a small image, built with what Debian 12 has:
#
#   docker build --build-arg KREPLAY_REVISION=$(git rev-parse --short=12 HEAD) -t kreplay .
#   docker run --rm -p 127.0.0.1:11432:11432 -e PGPASSWORD kreplay \
#       --topic pg --brokers kafka1:9092 --db-host test18 -u replay
#
# Settings come as arguments, as KREPLAY_* or in a file (-v $PWD/kreplay.toml:/etc/kreplay.toml:ro
# -e KREPLAY_CONFIG=/etc/kreplay.toml).

FROM debian:12-slim AS build
WORKDIR /build
# Of the sources only what says which Rust is wanted: the compilers stay cached while the rest changes.
COPY setup/install setup/install
COPY Cargo.toml Cargo.toml
RUN setup/install build
COPY . .
# The image has no history to take it from.
ARG KREPLAY_REVISION=
RUN cargo build --release --locked --bin kreplay && strip target/release/kreplay

FROM debian:12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 10001 -g 10001 /var/lib/kreplay
COPY --from=build /build/target/release/kreplay /usr/local/bin/kreplay
# A number, so that Kubernetes can see that it is not root (runAsNonRoot). Nothing is written but what
# --report and --dead-letter name: the root file system may be read-only.
USER 10001:10001
WORKDIR /var/lib/kreplay
# Inside its network; what reaches it from outside is for -p to say. It has no passwords.
ENV KREPLAY_LISTEN=0.0.0.0:11432
EXPOSE 11432
# What runs is finished, the offsets are committed. Give it more than --shutdown-timeout (10 s):
# docker stop --time 20, terminationGracePeriodSeconds.
STOPSIGNAL SIGTERM
# No HEALTHCHECK: that would need an HTTP client in the image. Orchestrators ask /livez (restart it)
# and /readyz (both sides are there) themselves.
ENTRYPOINT ["/usr/local/bin/kreplay"]
