"""What the header of a .ply file announces, compared with what follows it."""

from data_prep.text_size import check_words
from spectral_ssl.ground.errors import ObjectError

LONGEST_HEADER = 1 << 16
BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64", "int64", "uint64"), 8),
}


def check_ply(data: bytes) -> None:
    """See that as many elements as a .ply file announces can be in it.

    Parameters
    ----------
    data : bytes
        Of the whole file.

    Raises
    ------
    ObjectError
        When they cannot, or the header is damaged.
    """
    head, end, body = data.partition(b"end_header")
    if not end or len(head) > LONGEST_HEADER:
        raise ObjectError("not a .ply file: its header has no end")
    text, needed, count = False, 0, 0
    for line in head.splitlines():
        words = line.decode("ascii", "replace").split()
        try:
            if words[:1] == ["format"]:
                text = words[1] == "ascii"
            elif words[:1] == ["element"]:
                count = int(words[2])
                if count < 0:
                    raise ValueError(f"{count} elements")
            elif words[:1] == ["property"]:
                # in text a digit and a space; of a list at least its length
                needed += count * (2 if text else BYTES[words[2] if words[1] == "list" else words[1]])
        except (IndexError, KeyError, ValueError) as error:
            raise ObjectError(f"unreadable header of a .ply file: {error}") from None
    if needed > len(body) + 1:  # the last line may lack its end
        raise ObjectError(f"truncated: at least {needed} bytes announced, {len(body)} follow")
    if text:
        check_words(body)
