"""Whether two tracks are one recording, by what sources say of them: pure functions, for whoever must know."""
