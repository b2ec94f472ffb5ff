"""What stands between the network and the routes. Each module is one measure, and says against what."""
