"""The dashboard: server-rendered pages that read the same marts as `/v1`, one module per page."""
