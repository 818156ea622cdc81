"""The exception for bad input: one sentence that names the file or value and what was expected."""


class UserError(Exception):
    """Bad input, described in one sentence; the command line prints it and exits with code 2.

    Args:
        message: The file or value, what is wrong with it, and what was expected, such as
            ``photo.jpg: not an image (expected JPEG, PNG, WebP, BMP, TIFF, HEIC or AVIF)``.

    Example:
        >>> import litehrnet
        >>> try:
        ...     litehrnet.read_image("absent.jpg")
        ... except litehrnet.UserError as error:
        ...     print(error)
        absent.jpg: no such file
    """
