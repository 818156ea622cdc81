"""Pages on this machine's own address: a small web server, and the live view in the browser."""
