"""The one schema, and the way of a config file into it: load, check everything, report all faults together."""
