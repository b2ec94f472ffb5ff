"""Pure functions that decide whether two tracks are the same recording, from what their sources say."""
