"""The one exception that users see: a sentence that names the file or value and what was wanted."""


class UserError(Exception):
    """Bad input, said in one sentence; the command line prints it and exits with code 2.

    Args:
        message: Names the file or value and what was wanted, such as
            ``photo.jpg: not an image (expected JPEG, PNG, WebP, BMP or TIFF)``.
    """
