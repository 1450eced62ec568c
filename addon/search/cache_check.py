"""Which torrents are cached where: from memory, or one batched call a store."""

from collections.abc import Mapping, Sequence

import msgspec

from addon.accounts.credentials import Accounts, Credential
from addon.errors import Scope, StoreError
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


class _Asked(msgspec.Struct, frozen=True):
    """What a store answered, and with whose credential it was asked if it refused."""

    cached: dict[str, bool]
    files: dict[str, tuple[TorrentFile, ...]]
    error: StoreError | None = None
    account: str = ""


class CacheChecks:
    """Asks stores; simultaneous questions about the same torrents are one call."""

    def __init__(self, availability: Availability, torrents: Torrents, accounts: Accounts) -> None:
        self._availability = availability
        self._torrents = torrents
        self._accounts = accounts
        self._asking: SingleFlight[tuple[str, frozenset[str]], _Asked] = SingleFlight()

    async def check(
        self, credentials: Sequence[Credential], hashes: Sequence[str], deadline: Deadline
    ) -> dict[str, CacheCheck]:
        """Return by store name what each store says; one that fails leaves what memory holds."""
        until = deadline.within(_CHECK_SECONDS)
        known = {
            one.store.info.name: await self._availability.known(one.store.info.name, hashes)
            for one in credentials
        }
        asked = await collect(
            {
                one.store.info.name: self._of_store(
                    one, frozenset(hashes).difference(known[one.store.info.name]), until
                )
                for one in credentials
            },
            until,
        )
        nothing = _Asked({}, {})
        checks = {}
        for name, states in known.items():
            check = asked.results.get(name, nothing)
            checks[name] = CacheCheck(
                {**states, **check.cached}, check.files, check.error or asked.errors.get(name)
            )
        return checks

    async def _of_store(
        self, credential: Credential, missing: frozenset[str], deadline: Deadline
    ) -> "_Asked":
        store = credential.store.info
        if not missing or not store.capabilities.native_check:
            return _Asked({}, {})
        asked = await self._asking.do(
            (store.name, missing), lambda: self._ask(credential, missing, deadline)
        )
        is_about_somebody_else = (
            asked.error is not None
            and asked.account != credential.account
            and asked.error.scope in {Scope.ACCOUNT, Scope.ENDPOINT}
        )
        return await self._ask(credential, missing, deadline) if is_about_somebody_else else asked

    async def _ask(
        self, credential: Credential, hashes: frozenset[str], deadline: Deadline
    ) -> "_Asked":
        store = credential.store
        try:
            answers = await store.check(stores.Call(credential.key, deadline), sorted(hashes))
        except StoreError as error:
            await self._accounts.report(credential, error)
            return _Asked({}, {}, error, credential.account)
        cached = _states(answers)
        files = _files(answers)
        await self._availability.remember(store.info.name, cached, stores.Evidence.NATIVE)
        await self._torrents.save_files(files)
        return _Asked(cached, files)


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
