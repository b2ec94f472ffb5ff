"""Whether two tracks are one recording, by what sources say of them: pure functions, for every capability that must know."""
