"""The server's routes, and its answers as far as the module reads them."""
