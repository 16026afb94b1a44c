# The sources and unit tests of gate/courier.
