"""What the end-to-end tests are made of: a gate, a chain, sellers, agents, an origin that remembers."""
