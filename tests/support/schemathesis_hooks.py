"""Teaches schemathesis how NDJSON is sent."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    return str(value).encode("utf-8", "surrogatepass")
