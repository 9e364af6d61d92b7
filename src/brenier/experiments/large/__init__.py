"""How time and memory of ``MongeMap`` grow with the data."""
