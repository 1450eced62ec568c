"""Which credential next: the one place that decides it, for lists and for plays."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from addon.accounts.grants import Grants, Play
from addon.device import Device
from addon.errors import Kind, Scope, StoreError
from addon.key_pool.base import Grant, PoolRefusal
from addon.stores.base import Store
from addon.user_config import StoreChoice
from infra.clock import Deadline
from infra.errors import AppError
from infra.log import get_logger
from infra.secret import Redactor, Secret
from infra.tasks import collect

log = get_logger()

OwnTokens: TypeAlias = Literal["everyone", "users", "off"]

_OF_THE_KEY = frozenset({Scope.ACCOUNT, Scope.ENDPOINT})

# What the pool says of a person who is not, or no longer, one of its users.
_NOT_A_USER = frozenset({"unknown_user", "user_disabled", "user_expired"})


class NotOffered(AppError):
    """This server does not do what the config relies on; the message says so to the viewer."""

    shown = True


class Credential(msgspec.Struct, frozen=True):
    """A key for one store, of the pool (`grant`) or a person's own.

    `account` names it without giving it away.
    """

    store: Store
    key: Secret
    account: str
    grant: Grant | None


class Access(msgspec.Struct, frozen=True):
    """What a list may use: credentials in the order of the config, and why others may not be."""

    credentials: tuple[Credential, ...]
    errors: tuple[AppError, ...]


@dataclass(frozen=True, slots=True)
class Accounts:
    """Grants of the pool and own tokens of people.

    Attributes:
        grants: of the pool; None when pool auth is switched off.
        stores: by code.
        own_tokens: who may bring one.
    """

    grants: Grants | None
    stores: Mapping[str, Store]
    redactor: Redactor
    own_tokens: OwnTokens

    async def for_list(
        self, choices: Sequence[StoreChoice], device: Device, deadline: Deadline
    ) -> Access:
        """Return what a list may use; all stores are asked at once, unknown ones passed over."""
        known = [choice for choice in choices if self.knows(choice.code)]
        asked = await collect(
            {place: self._for_list(choice, device) for place, choice in enumerate(known)},
            deadline,
        )
        return Access(
            tuple(asked.results[place] for place in sorted(asked.results)),
            tuple(asked.errors[place] for place in sorted(asked.errors)),
        )

    def knows(self, code: str) -> bool:
        """Tell whether a store code of a config means something here."""
        return code in self.stores

    def attempts(self, choices: Sequence[StoreChoice], play: Play) -> "Attempts":
        """Return the credentials for a play, one after the other."""
        return Attempts(self, [choice for choice in choices if self.knows(choice.code)], play)

    async def report(self, credential: Credential, error: StoreError) -> None:
        """Tell the pool what a store said of one of its keys."""
        if self.grants is not None and credential.grant is not None:
            await self.grants.report(credential.grant, error)

    async def _for_list(self, choice: StoreChoice, device: Device) -> Credential:
        if self.grants is None or choice.auth is None:
            return self.own(choice, None)
        store = self.stores[choice.code]
        try:
            return pooled(store, await self.grants.for_list(choice.auth, store.info.name, device))
        except AppError as refused:
            return self.own(choice, refused)

    def own(self, choice: StoreChoice, refused: AppError | None) -> Credential:
        """Return the person's own token for a store.

        Raises:
            AppError: there is none, or it may not be used; `refused`, if the pool said why.
        """
        reason = refused or _without_pool(choice)
        if choice.token is None or self.own_tokens == "off":
            raise reason
        if self.own_tokens == "users" and not _is_user(reason):
            raise reason
        key = self.redactor.learn(choice.token)
        return Credential(self.stores[choice.code], key, _own_account(key), None)


class Attempts:
    """The credentials for one play: of each store in turn, pool keys first, then the own token.

    Use: `next()`, try it, and on a `StoreError` call `failed()`; it raises the error when no other
    credential would help.
    """

    def __init__(self, accounts: Accounts, choices: list[StoreChoice], play: Play) -> None:
        self._accounts = accounts
        self._play = play
        self._left = choices
        self._excluded: tuple[str, ...] = ()
        self._current: Credential | None = None
        self._reason: AppError | None = None

    async def next(self) -> Credential:
        """Return the next credential.

        Raises:
            AppError: none is left; the first reason that was met.
        """
        while self._left:
            try:
                self._current = await self._try(self._left[0])
            except AppError as error:
                self._drop_store(error)
            else:
                return self._current
        raise self._reason or AppError("no store in this configuration", code="config_invalid")

    async def failed(self, error: StoreError) -> None:
        """Take in that the credential failed, and turn to what may do better.

        An error of the torrent burns no second key of this store; another store may hold it.

        Raises:
            StoreError: the store has begun to download it: no other one is set to work as well.
        """
        credential = self._current
        if credential is None:
            raise error
        log.warning(
            "credential_failed", store=error.store, account=credential.account, kind=error.kind,
            operation=error.operation, provider_code=error.provider_code,
        )  # fmt: skip
        await self._accounts.report(credential, error)
        if error.kind is Kind.NOT_READY:
            raise error
        if error.scope in _OF_THE_KEY and credential.grant is not None:
            self._reason = self._reason or error
            self._exclude(self._left[0], credential.grant)
        else:
            self._drop_store(error)

    async def _try(self, choice: StoreChoice) -> Credential:
        grants = self._accounts.grants
        if grants is None or choice.auth is None:
            return self._accounts.own(choice, None)
        store = self._accounts.stores[choice.code]
        try:
            grant = await grants.for_play(choice.auth, store.info.name, self._play, self._excluded)
        except AppError as refused:
            return self._accounts.own(choice, refused)
        return pooled(store, grant)

    def _exclude(self, choice: StoreChoice, grant: Grant) -> None:
        """Ask for another key next, and not for the lease of the one that failed."""
        self._excluded = (*self._excluded, grant.key_id)
        if self._accounts.grants is not None and choice.auth is not None:
            self._accounts.grants.forget_play(choice.auth, grant.store, self._play)

    def _drop_store(self, reason: AppError) -> None:
        self._reason = self._reason or reason
        self._left = self._left[1:]
        self._excluded = ()


def pooled(store: Store, grant: Grant) -> Credential:
    """Return the credential that a grant is."""
    return Credential(store, grant.key, f"key:{grant.key_id}", grant)


def _own_account(token: Secret) -> str:
    """Return the name of an own token's account: a digest that gives nothing away."""
    return f"own:{hashlib.sha256(token.reveal().encode()).hexdigest()[:32]}"


def _without_pool(choice: StoreChoice) -> AppError:
    if choice.auth_is_broken:
        return AppError("the auth is no UUID", code="invalid_auth")
    if choice.auth is not None:
        return NotOffered("Pool access is switched off on this server", code="auth_failed")
    return NotOffered("This server does not take own keys", code="store_not_allowed")


def _is_user(refused: AppError) -> bool:
    """Tell whether the pool knows the person: it refused for another reason than that."""
    return isinstance(refused, PoolRefusal) and refused.code not in _NOT_A_USER
