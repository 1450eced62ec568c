"""Which torrents are cached where: from memory, or one batched call a store."""

from collections.abc import Mapping, Sequence

import msgspec

from addon.accounts.credentials import Accounts, Credential
from addon.errors import StoreError
from addon.index.availability import Availability
from addon.index.torrents import Torrents
from addon.stores import base as stores
from addon.torrent import TorrentFile
from infra.cache import SingleFlight
from infra.clock import Deadline
from infra.errors import AppError
from infra.tasks import collect

_CHECK_SECONDS = 3.0


class CacheCheck(msgspec.Struct, frozen=True):
    """What one store says.

    Attributes:
        cached: by hash; a hash that is not there is unknown.
        files: lists that came with the answer.
        error: why the store could not be asked about what was not in memory.
    """

    cached: dict[str, bool]
    files: dict[str, tuple[TorrentFile, ...]]
    error: AppError | None = None


class CacheChecks:
    """Asks stores; simultaneous questions about the same torrents are one call."""

    def __init__(self, availability: Availability, torrents: Torrents, accounts: Accounts) -> None:
        self._availability = availability
        self._torrents = torrents
        self._accounts = accounts
        self._asking: SingleFlight[tuple[str, frozenset[str]], CacheCheck] = SingleFlight()

    async def check(
        self, credentials: Sequence[Credential], hashes: Sequence[str], deadline: Deadline
    ) -> dict[str, CacheCheck]:
        """Return by store name what each store says; one that fails leaves what memory holds."""
        until = deadline.within(_CHECK_SECONDS)
        checks = await collect(
            {one.store.info.name: self._of_store(one, hashes, until) for one in credentials},
            until.within(_CHECK_SECONDS + 0.5),
        )
        failed = {name: CacheCheck({}, {}, error) for name, error in checks.errors.items()}
        return {**checks.results, **failed}

    async def _of_store(
        self, credential: Credential, hashes: Sequence[str], deadline: Deadline
    ) -> CacheCheck:
        store = credential.store
        known = await self._availability.known(store.info.name, hashes)
        missing = frozenset(hashes).difference(known)
        if not missing or not store.info.capabilities.native_check:
            return CacheCheck(known, {})
        asked = await self._asking.do(
            (store.info.name, missing), lambda: self._ask(credential, missing, deadline)
        )
        return CacheCheck({**known, **asked.cached}, asked.files, asked.error)

    async def _ask(
        self, credential: Credential, hashes: frozenset[str], deadline: Deadline
    ) -> CacheCheck:
        store = credential.store
        try:
            answers = await store.check(stores.Call(credential.key, deadline), sorted(hashes))
        except StoreError as error:
            await self._accounts.report(credential, error)
            return CacheCheck({}, {}, error)
        cached = _states(answers)
        files = _files(answers)
        await self._availability.remember(store.info.name, cached, stores.Evidence.NATIVE)
        await self._torrents.save_files(files)
        return CacheCheck(cached, files)


def _states(answers: Mapping[str, stores.Availability]) -> dict[str, bool]:
    return {
        info_hash: answer.state is stores.CacheState.CACHED
        for info_hash, answer in answers.items()
        if answer.state is not stores.CacheState.UNKNOWN
    }


def _files(answers: Mapping[str, stores.Availability]) -> dict[str, tuple[TorrentFile, ...]]:
    return {
        info_hash: tuple(TorrentFile(file.path, file.size_bytes) for file in answer.files)
        for info_hash, answer in answers.items()
        if answer.files
    }
