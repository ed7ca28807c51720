"""Additions to OHIF, the viewer in the browser that the host serves, and its files as browsers load them soonest."""
