"""How many hosts each worker set has: its settings, the arithmetic, and the program that applies it."""
