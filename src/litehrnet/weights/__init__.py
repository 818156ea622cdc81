"""The weights file, and networks by name. The bundled weights are stored here."""
