"""The command ``serving-gateway``: every task of a user of the project as one subcommand."""
