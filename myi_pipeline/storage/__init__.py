"""Files in a folder or an object store: exports for people to download, backups, and uploads."""
