"""Work that is cheaper together: what comes while a group is worked at shares the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Gives items to `work` in threads: at most `most` at a time, in the order in which they came.

    Nothing waits for a timer: a lone item is worked at alone and at once. An exception of `work` is that of
    every item of its group.
    """

    def __init__(
        self, work: Callable[[Sequence[Item]], Sequence[Answer]], most: int, groups_at_once: int = 1
    ) -> None:
        self._work, self._most = work, most
        self._turns = asyncio.Semaphore(groups_at_once)
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()

    async def answer(self, item: Item) -> Answer:
        """The answer to an item."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        async with self._turns:
            await asyncio.sleep(0)  # whoever has come in this very moment shares this turn
            if self._waiting:  # else another turn has taken this item along
                await self._work_at_group()
        return await answer

    async def _work_at_group(self) -> None:
        group = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most))]
        try:
            found = await asyncio.to_thread(self._work, [item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - raised where each of them waits
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
        except BaseException:
            for _, answer in group:
                answer.cancel()
            raise
        else:
            for (_, answer), each in zip(group, found, strict=True):
                if not answer.done():
                    answer.set_result(each)
