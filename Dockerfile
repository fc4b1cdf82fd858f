# Each step is a script of the project, which the checks run in a clean folder; see tests/container/run.
FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY . .
RUN bash packaging/build /image

FROM debian:bookworm-slim
RUN --mount=type=bind,source=packaging,target=/packaging bash /packaging/system
COPY --from=build /image/ /
USER beckon
WORKDIR /var/lib/beckon
VOLUME /var/lib/beckon
EXPOSE 8080
ENTRYPOINT ["/usr/bin/beckon", "--config", "/etc/beckon/beckon.toml"]
CMD ["serve"]
