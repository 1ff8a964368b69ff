"""`motags tag` over any number of films: chunk by chunk, killed and gone on with, on one machine or a cluster."""
