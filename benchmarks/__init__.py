"""Measurements, each against a reference run beside it: machines differ and are noisy, ratios less so."""
