# The sources and unit tests of gate/x402.
