"""What a file is told of work that nobody watches."""

from types import SimpleNamespace

from brenier._progress import Progress
from brenier.report import _progress_bar, progress_bar, progress_log


def _told(work, monkeypatch, capsys, length):
    """What work that moves every other second for so many writes to stderr."""
    clock = [100.0]
    monkeypatch.setattr(_progress_bar, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    with work as tell:
        for second in range(0, length, 2):
            clock[0] = 100.5 + second
            tell(Progress(second, length, "fitting" if second < 20 else "measuring"))
    return [line.split("s  ")[1] for line in capsys.readouterr().err.splitlines()]


def test_short_work_is_silent_and_long_work_says_where_it_is(monkeypatch, capsys):
    assert _told(progress_bar(), monkeypatch, capsys, 10) == []
    said = _told(progress_bar(), monkeypatch, capsys, 36)
    assert said == ["fitting, 10 of 36", "measuring, 20 of 36", "measuring, 30 of 36"]


def test_what_has_a_title_says_it_and_each_stage(monkeypatch, capsys):
    said = _told(progress_log("work, half a minute"), monkeypatch, capsys, 24)
    assert said[0] == "work, half a minute"
    assert said[1:] == ["fitting, 0 of 24", "fitting, 10 of 24", "measuring, 20 of 24"]


def test_who_wants_no_bar_is_told_nothing(monkeypatch, capsys):
    assert _told(progress_bar(show=False), monkeypatch, capsys, 60) == []
