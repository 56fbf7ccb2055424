"""How this package is built into ministack: requests, services, state, and every name of it that is relied on."""
