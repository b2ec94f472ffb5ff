"""The uploads folder: which archives are in it, what has become of each, and those that arrive over the network."""
