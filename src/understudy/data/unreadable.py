"""Which images cannot be read, found out before anything is trained on them."""

from understudy.data.image_files import ImageFiles


def unreadable(files: ImageFiles) -> list[str]:
    """One line for every image that cannot be decoded or has no pixels, naming it and the cause; all are tried."""
    troubles = []
    for index in range(len(files)):
        try:
            files.read(index)
        except ValueError as error:
            troubles.append(str(error))
    return troubles
