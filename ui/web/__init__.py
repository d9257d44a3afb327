"""HTTP: the fence, the routes of our own, log-in, the server."""
