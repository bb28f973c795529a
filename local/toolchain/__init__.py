"""The programs of the local cluster: which ones, and how each is obtained on this machine."""
