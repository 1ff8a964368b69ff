"""Films become a data set: one text and one set of normalised tags each, split into three parts."""
