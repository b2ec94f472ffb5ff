"""Showing figures to others: share reports (copies behind a link), and agreements between two listeners."""
