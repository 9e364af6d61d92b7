"""A table as text: what is long goes on below itself."""

import itertools
import textwrap
from collections.abc import Sequence

# Columns of the whole, and of answers and remarks at most and at least.
_WIDTH, _ANSWER, _REMARK = 100, 34, 30


def printed(rows: Sequence[tuple[str, str, str]]) -> str:
    """Rows of (question, answer, remark), each in as many lines as it takes.

    >>> print(printed([("cost", "2.0", "± 0.1"), ("seconds", "1", "")]))
    cost     2.0  ± 0.1
    seconds  1
    """
    first = max(len(question) for question, _, _ in rows)
    answers = [_wrapped(answer, _ANSWER) for _, answer, _ in rows]
    second = max(len(line) for own in answers for line in own)
    remarks = [_wrapped(remark, max(_WIDTH - first - second - 4, _REMARK)) for *_, remark in rows]
    return "\n".join(
        f"{a:<{first}}  {b:<{second}}  {c}".rstrip()
        for (question, _, _), answer, remark in zip(rows, answers, remarks, strict=True)
        for a, b, c in itertools.zip_longest([question], answer, remark, fillvalue="")
    )


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of a text, none of which begins with a per cent sign."""
    lines = textwrap.wrap(
        text.replace(" %", "\u00a0%"), width, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace("\u00a0%", " %") for line in lines] or [""]
