"""The one exception that a user is meant to see."""


class UserError(Exception):
    """Something the user gave (config, archive, picture, mask, list) cannot be used.

    The message is one clear sentence that names the file or the key, and the remedy.
    The command line prints it without a traceback and exits with code 1.
    """
