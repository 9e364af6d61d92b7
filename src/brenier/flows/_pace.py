"""How many steps a block of a method takes: of a number, or of seconds."""

import math
import time
from dataclasses import dataclass

# Steps that tell how long one takes.
_FEW_STEPS = 16
# Of the seconds, what is left when all is compiled at least, and what looks take at most.
_STEPPING, _LOOKING = 0.5, 0.2


@dataclass
class Counted:
    """Blocks of equal numbers of steps, up to a total."""

    total: int
    wanted: int

    @property
    def blocks(self) -> int:
        return math.ceil(self.total / self._length)

    def over(self, blocks: int) -> bool:
        """Whether these were all."""
        return blocks >= self.blocks

    def next(self, blocks: int, steps: int) -> tuple[int, int]:
        """Steps of the next block, and in all, after so many of both."""
        return min(self._length, self.total - steps), self.total

    def saw(self, steps: int, stepping: float, looking: float) -> None:
        """What a block took is nothing to work that is counted."""

    @property
    def _length(self) -> int:
        return math.ceil(self.total / self.wanted)


@dataclass
class Timed:
    """Blocks that take equal shares of the time that is left, by the pace of the one before.

    The first takes a few steps, to tell the pace. There are fewer blocks where the looks after them
    would take too much of the time.
    """

    blocks: int
    seconds: float
    until: float
    step: float = math.nan
    look: float = 0.0
    last: bool = False

    def compiled(self) -> None:
        """A part of the seconds is for steps, however long compilation took."""
        self.until = max(self.until, time.perf_counter() + _STEPPING * self.seconds)

    def over(self, blocks: int) -> bool:
        """Whether these were all, or the last took the time that was left."""
        return self.last or blocks >= self.blocks

    def next(self, blocks: int, steps: int) -> tuple[int, int]:
        """Steps of the next block, and in all, after so many of both."""
        if math.isnan(self.step):
            return _FEW_STEPS, steps + _FEW_STEPS * (self.blocks - blocks)
        left = self.until - time.perf_counter()
        more = self.blocks - blocks
        if more * self.look > _LOOKING * left:
            more = max(int(_LOOKING * left / self.look), 1)
        self.last = more == 1
        all_steps = max(int((left - more * self.look) / self.step), more)
        return all_steps // more, steps + all_steps

    def saw(self, steps: int, stepping: float, looking: float) -> None:
        """The seconds that the steps of a block took, and the look at it."""
        self.step, self.look = stepping / steps, max(self.look, looking)
