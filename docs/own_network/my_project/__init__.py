"""A project of one's own: a network and a data set that walking_noise does not know."""
