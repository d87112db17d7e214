# An image of nothing but a static binary: cargo xtask build --image
# The context is a folder with the three files below; xtask fills it.
FROM scratch
COPY --chmod=0555 braingrid-mcp /usr/local/bin/braingrid-mcp
# Where TLS looks for root certificates; SSL_CERT_FILE names another file.
COPY --chmod=0444 ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --chmod=0444 LICENSE /LICENSE

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="braingrid-mcp" \
      org.opencontainers.image.description="BrainGrid's MCP server" \
      org.opencontainers.image.source="https://github.com/BrainGridAI/braingrid-mcp" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"

ENV MCP_TRANSPORT=http BIND=0.0.0.0 PORT=8080 LOG_FORMAT=json
EXPOSE 8080
# A number: Kubernetes cannot tell that a name is not root.
USER 65532:65532
HEALTHCHECK --interval=10s --start-period=5s CMD ["/usr/local/bin/braingrid-mcp", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/braingrid-mcp"]
