"""Whether the roles of an environment allow what its hosts do, and nothing on other environments."""
