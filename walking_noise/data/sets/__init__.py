"""The data sets, one file each; every file defines ``DATA_SET``."""
