"""Fields of settings: their types, and groups of them."""
