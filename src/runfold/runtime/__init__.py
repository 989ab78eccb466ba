"""The moving parts: they see the world through ``ports`` and work in bounded turns."""
