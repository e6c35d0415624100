"""Speech data sets: one-second recordings of single words, as cepstral coefficients for keyword spotting."""
