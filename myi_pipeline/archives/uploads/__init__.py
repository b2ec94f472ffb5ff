"""The uploads folder: which archives are in it, what has become of each, and archives that arrive over the network."""
