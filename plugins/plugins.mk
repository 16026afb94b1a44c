# The plugins.
