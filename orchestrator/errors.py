"""Errors of the commands, as one tree.

* OrchestratorError
  + UsageError         the command line or the configuration is wrong
  + NotRunning         the command needs a running instance
  + PortTaken          another process has a port that a child needs
  + CannotStop         the running instance does not end
  + RestartFailed      a restarted child did not become ready
  + RestartRefused     the check before a reload failed, nothing was changed
  + RunDirUnusable     the folder for state and logs cannot be written or is locked by others
  + AlreadyRunning     an instance runs, with other ports than the ones asked for

Each class has the exit code of the command that it ends.
"""


class OrchestratorError(Exception):
    """A command failed; the message is one sentence for the user."""

    exit_code = 1


class UsageError(OrchestratorError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class NotRunning(OrchestratorError):
    """The command needs a running instance, and there is none."""

    exit_code = 3


class PortTaken(OrchestratorError):
    """A port that a child needs cannot be used."""


class CannotStop(OrchestratorError):
    """The running instance does not end."""


class RestartFailed(OrchestratorError):
    """A restarted child did not become ready again."""


class RestartRefused(OrchestratorError):
    """The check before a reload failed; the child runs on unchanged."""


class RunDirUnusable(OrchestratorError):
    """The folder for state and logs cannot be written, or a foreign process has locked it."""


class AlreadyRunning(OrchestratorError):
    """An instance runs in the run folder, with other ports than the ones asked for."""
