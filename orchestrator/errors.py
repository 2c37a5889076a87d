"""Every way process care can fail before or beside the loop, as one tree.

* OrchestratorError
  + Misused            the command line or the configuration is wrong
  + NotRunning         the command needs a running instance
  + PortTaken          somebody else listens where a child should
  + CannotStop         the running instance does not end
  + RestartFailed      a child did not come back
  + RestartRefused     a child would not come back, so it goes on as it was
  + RunDirUnusable     the folder for state and logs cannot be written

Each class carries the exit code of the command that it ends.
"""


class OrchestratorError(Exception):
    """A command cannot do what it was asked; the message is one sentence for a person."""

    exit_code = 1


class Misused(OrchestratorError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class NotRunning(OrchestratorError):
    """The command needs a running instance, and there is none."""

    exit_code = 3


class PortTaken(OrchestratorError):
    """A port that a child needs cannot be had."""


class CannotStop(OrchestratorError):
    """The running instance does not end."""


class RestartFailed(OrchestratorError):
    """A child that was restarted did not come back."""


class RestartRefused(OrchestratorError):
    """A child that was to be restarted would not come back, so it goes on as it was."""


class RunDirUnusable(OrchestratorError):
    """The folder for state and logs cannot be written."""
