"""The clock and the login provider of the tests of logins."""

from login_fixtures import clock as clock
from login_fixtures import openid as openid
from login_fixtures import rules as rules
