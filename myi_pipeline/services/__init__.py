"""The use cases, one file each. Connections, clients and clocks arrive as arguments."""
