"""A plugin of pytest for runs that must take seconds: few examples of each property, and no time limit of one."""

from hypothesis import HealthCheck, settings

settings.register_profile("few", deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
settings.load_profile("few")
