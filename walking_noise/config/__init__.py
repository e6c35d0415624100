"""Settings of a run: the fields, the checks of their consistency, and the keys derived from them."""
