"""The life of a cloud: its state folder, its end, and what a dead one left behind."""
